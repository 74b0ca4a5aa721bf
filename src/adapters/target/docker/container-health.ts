// I6: a release is healthy when every replica of it has answered its health path from its own container.
import { setTimeout as delay } from 'node:timers/promises';
import { createMasker } from '../../../core/log/masker.ts';
import type { Health, ReleaseReference } from '../../../ports/target.ts';
import { Secret } from '../../../ports/secret.ts';
import { whyUnhealthy } from '../../front/health.ts';
import { hostPortOf } from './containers.ts';
import type { Containers, Inspected, Replica } from './containers.ts';

const pollMs = 100;
/** An application that ended so often without one healthy answer will not get healthy. */
const crashLimit = 4;
const shownLines = 40;

interface Sign {
  /** Undefined: healthy. */
  readonly reason: string | undefined;
  readonly isLost: boolean;
}

interface Wait {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export async function awaitHealthy(
  containers: Containers,
  reference: ReleaseReference,
  { timeoutMs, signal }: Wait,
): Promise<Health> {
  const end = performance.now() + timeoutMs;
  const lastEnds = new Map<number, string>();
  for (;;) {
    signal.throwIfAborted();
    const replicas = await containers.ofRelease(reference);
    const signs = await Promise.all(replicas.map((replica) => examine(containers, replica, lastEnds)));
    const isWhole = replicas.length === replicas[0].replicas;
    if (isWhole && signs.every(({ reason }) => reason === undefined)) return { type: 'healthy' };
    const isLate = performance.now() > end;
    const worst = signs.findIndex(({ reason, isLost }) => (isLate ? reason !== undefined : isLost));
    if (worst >= 0) return describe(containers, { replicas, signs, worst, lastEnds, timeoutMs });
    if (isLate) return { type: 'unhealthy', reason: 'a container of the release is gone', output: '' };
    await delay(pollMs, undefined, { signal }).catch(() => undefined);
  }
}

async function examine(containers: Containers, replica: Replica, lastEnds: Map<number, string>): Promise<Sign> {
  const found = await containers.inspect(replica.id);
  if (found === undefined) return { reason: 'its container is gone', isLost: false };
  const { State, RestartCount } = found;
  if (State.Running && !State.Restarting) {
    const reason = await whyUnhealthy(hostPortOf(found), replica.health);
    return { reason: reason === undefined ? undefined : withPort(reason, found), isLost: false };
  }
  if (State.Status === 'created') return { reason: 'it is not started yet', isLost: false };
  const reason = `it ended with exit code ${State.ExitCode}${State.OOMKilled ? describeMemory(found) : ''}`;
  lastEnds.set(replica.replica, reason);
  return { reason, isLost: RestartCount >= crashLimit };
}

function describeMemory({ HostConfig: { Memory } }: Inspected): string {
  const hasLimit = Memory !== undefined && Memory > 0;
  return hasLimit ? ` (out of memory: it may use ${Memory / 1024 ** 2} MiB)` : ' (out of memory)';
}

/** Docker's own proxy takes the connection and drops it when nobody listens behind it. */
function withPort(reason: string, { Config }: Inspected): string {
  if (!/ECONNREFUSED|ECONNRESET|hang up/.test(reason)) return reason;
  const port = Config.Env.find((one) => one.startsWith('PORT='))?.slice('PORT='.length);
  return `nothing listens on port ${port ?? 'PORT'} of the container, or on its loopback only (the port is in the variable PORT)`;
}

async function describe(
  containers: Containers,
  state: {
    readonly replicas: readonly Replica[];
    readonly signs: readonly Sign[];
    readonly worst: number;
    readonly lastEnds: ReadonlyMap<number, string>;
    readonly timeoutMs: number;
  },
): Promise<Health> {
  const { replicas, signs, worst, lastEnds, timeoutMs } = state;
  const replica = replicas[worst];
  const sign = signs[worst];
  if (replica === undefined || sign === undefined) throw new Error('there is no such replica');
  const which = replicas.length === 1 ? '' : `replica ${replica.replica + 1} of ${replicas.length}: `;
  const reason = lastEnds.get(replica.replica) ?? sign.reason ?? '';
  const late = sign.isLost ? '' : `not healthy within ${timeoutMs / 1000} s: `;
  const often = sign.isLost ? ` (${crashLimit} times, never healthy)` : '';
  const output = await containers.lastLines(replica.id, shownLines);
  return {
    type: 'unhealthy',
    reason: `${which}${late}${reason}${often}`,
    output: mask(output, await secretsOf(containers, replica)),
  };
}

/** I7: an application may print what it was given. */
async function secretsOf(containers: Containers, { id, secretNames }: Replica): Promise<readonly Secret[]> {
  const found = await containers.inspect(id);
  const names = new Set(secretNames);
  return (found?.Config.Env ?? []).flatMap((variable) => {
    const at = variable.indexOf('=');
    return names.has(variable.slice(0, at)) ? [new Secret(variable.slice(at + 1))] : [];
  });
}

function mask(text: string, secrets: readonly Secret[]): string {
  const masker = createMasker(secrets, 0);
  const decoder = new TextDecoder();
  const begin = decoder.decode(masker.push(new TextEncoder().encode(text)).text, { stream: true });
  return begin + decoder.decode(masker.flush().text);
}
