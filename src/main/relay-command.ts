import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config.ts';
import { RelaySpool } from '../relay/spool.ts';
import type { Letter } from '../relay/spool.ts';

interface Kept extends Letter {
  readonly state: 'waiting' | 'dead';
  readonly reason?: string;
}

/** `loam relay ...`: works on the folder of the relay, which may run meanwhile. Exit code 4: no such delivery. */
export async function runRelayCommand(
  config: Config,
  action: 'list' | 'replay' | 'drop',
  ids: readonly string[],
  isJson: boolean,
): Promise<number> {
  const folder = path.join(config.dataDir, 'relay');
  if (!existsSync(folder)) return fail(`there is no relay in ${config.dataDir}: set LOAM_DATA_DIR to its folder`);
  const spool = await RelaySpool.open(folder);
  const waiting = (await spool.waiting()).map((one): Kept => ({ ...one, state: 'waiting' }));
  const kept = [...waiting, ...(await spool.dead()).map((one): Kept => ({ ...one, state: 'dead' }))];
  if (action === 'list') {
    print(kept, isJson);
    return 0;
  }
  const eligible = action === 'drop' ? kept : kept.filter(({ state }) => state === 'dead');
  const chosen: Kept[] = [];
  for (const id of ids) {
    const found = eligible.filter(({ delivery }) => id.length >= 8 && delivery.startsWith(id));
    const [only] = found;
    if (only === undefined || found.length > 1)
      return fail(`"${id}" names ${found.length} deliveries that could be used so; "loam relay list" shows their ids`);
    chosen.push(only);
  }
  for (const one of chosen) await (action === 'drop' ? spool.remove(one) : spool.replay(one));
  print(chosen, isJson);
  return 0;
}

function print(kept: readonly Kept[], isJson: boolean): void {
  const rows = kept.map(({ delivery, trigger, state, order, sizeBytes, reason }) => {
    return { delivery, trigger, state, receivedAt: new Date(order).toISOString(), sizeBytes, reason: reason ?? null };
  });
  const lines = rows.map(
    (one) => `${one.delivery}  ${one.state}  ${one.receivedAt}  ${one.trigger}  ${plain(one.reason)}\n`,
  );
  process.stdout.write(isJson ? `${JSON.stringify({ deliveries: rows })}\n` : lines.join(''));
}

/** A reason quotes another server's answer: foreign text. */
function plain(text: string | null): string {
  return (text ?? '').replaceAll(/\p{Cc}|\p{Cf}/gu, ' ').slice(0, 200);
}

function fail(message: string): number {
  process.stderr.write(`loam: ${message}\n`);
  return 4;
}
