// A trust provider of the test: a program whose draws are written down outside Loam, and whose trust can be withdrawn.
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Loam } from './loam.ts';

const program = `import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, existsSync } from 'node:fs';
const [folder, lifetimeMs] = process.argv.slice(2);
const atMs = Date.now();
if (existsSync(folder + '/withdrawn')) {
  process.stderr.write('the delegation was withdrawn');
  process.exit(77);
}
const token = randomBytes(24).toString('base64url');
const expiresAtMs = atMs + Number(lifetimeMs);
const hash = createHash('sha256').update(token).digest('hex');
appendFileSync(folder + '/draws', JSON.stringify({ atMs, expiresAtMs, hash }) + '\\n');
process.stdout.write(JSON.stringify({ token, expires_at: new Date(expiresAtMs).toISOString() }));
`;

const Draw = z.object({ atMs: z.number(), expiresAtMs: z.number(), hash: z.string() });
export type Draw = z.infer<typeof Draw>;

export interface TokenProgram {
  readonly trust: string;
  draws(): readonly Draw[];
  /** From now on the program ends with 77: a person must act. */
  withdraw(): Promise<void>;
  /** The provider gives tokens again; Loam is not told. */
  restore(): Promise<void>;
}

/** Registers a trust whose tokens live so long. */
export async function createTokenProgram(loam: Loam, trust: string, lifetimeMs: number): Promise<TokenProgram> {
  const folder = await mkdtemp(path.join(loam.folder, 'provider-'));
  const [file, ledger, withdrawn] = ['draw.mjs', 'draws', 'withdrawn'].map((name) => path.join(folder, name));
  if (file === undefined || ledger === undefined || withdrawn === undefined) throw new Error('unreachable');
  await writeFile(file, program);
  const register = async (): Promise<void> => {
    const command = [process.execPath, file, folder, String(lifetimeMs)];
    const { status, body } = await loam.api('PUT', `/v1/trusts/${trust}`, { provider: 'exec', settings: { command } });
    if (status !== 200) throw new Error(`trust ${trust} was answered ${String(status)}: ${JSON.stringify(body)}`);
  };
  await register();
  return {
    trust,
    draws: () =>
      existsSync(ledger)
        ? readFileSync(ledger, 'utf8')
            .split('\n')
            .filter((line) => line !== '')
            .map((line) => Draw.parse(JSON.parse(line)))
        : [],
    withdraw: () => writeFile(withdrawn, ''),
    restore: () => rm(withdrawn),
  };
}

const Trust = z.object({
  state: z.string(),
  reason: z.string().nullable(),
  generation: z.number(),
  expiresAt: z.string().nullable(),
});
type Trust = z.infer<typeof Trust>;

export async function readTrust(loam: Loam, name: string): Promise<Trust> {
  return Trust.parse((await loam.api('GET', `/v1/trusts/${name}`)).body);
}

interface Sample {
  /** When the row was asked for: it was read later. */
  readonly askedAtMs: number;
  readonly generation: number;
  readonly expiresAtMs: number;
}

export interface TrustWatch {
  /** All looks so far at a row that held a token. */
  samples(): readonly Sample[];
  /** Looks at which the newest token had expired: what must not happen while a run keeps the trust. */
  lapses(): readonly Sample[];
  stop(): Promise<void>;
}

/** Reads the row of a trust over and over, through the API. */
export function watchTrust(loam: Loam, name: string): TrustWatch {
  const samples: Sample[] = [];
  const stopping = new AbortController();
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      const askedAtMs = Date.now();
      const { generation, expiresAt } = await readTrust(loam, name);
      if (expiresAt !== null) samples.push({ askedAtMs, generation, expiresAtMs: Date.parse(expiresAt) });
      await delay(100);
    }
  })();
  watching.catch(() => undefined); // told by `stop`
  return {
    samples: () => samples,
    lapses: () => samples.filter(({ askedAtMs, expiresAtMs }) => expiresAtMs <= askedAtMs),
    async stop() {
      stopping.abort();
      await watching;
    },
  };
}
