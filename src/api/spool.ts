// I1: what a hook dropped while nobody answered is received as if it had come through the door. The files are signed, so the folder need not be trusted.
import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { DomainError, errorKinds } from '../core/errors.ts';
import type { Logger } from '../ports/logger.ts';
import { asDomainError } from './problem.ts';
import { maxDeliveryBytes } from './delivery.ts';
import type { Receiver } from './receive.ts';

const maxFileBytes = 2 * maxDeliveryBytes;
const pollMs = 2_000;

const SpooledDelivery = z.object({
  version: z.literal(1),
  trigger: z.string().max(100),
  headers: z.record(z.string(), z.string()),
  /** Base64 of the raw body. */
  body: z.base64(),
});
export type SpooledDelivery = z.infer<typeof SpooledDelivery>;

export interface SpoolOptions {
  readonly folder: string;
  readonly receive: Receiver;
  readonly logger: Logger;
}

export interface Spool {
  /** Resolves when a look into the folder that is under way has ended. */
  stop(): Promise<void>;
}

/** Receives what lies in the folder, now and whenever something is dropped into it. */
export async function startSpool(options: SpoolOptions): Promise<Spool> {
  await mkdir(path.join(options.folder, 'refused'), { recursive: true, mode: 0o700 });
  let isStopped = false;
  let isWanted = false;
  let current: Promise<void> | undefined;
  async function sweepWhileWanted(): Promise<void> {
    while (isWanted && !isStopped) {
      isWanted = false;
      await sweep(options).catch((error: unknown) => {
        options.logger.error({ error }, 'spool cannot be read');
      });
    }
    current = undefined;
  }
  function look(): void {
    isWanted = true;
    current ??= sweepWhileWanted();
  }
  const watcher = watchFolder(options.folder, look);
  // The watch is quick, the timer is sure: notifications can be lost, and a store that was away comes back.
  const timer = setInterval(look, pollMs);
  look();
  return {
    stop: async () => {
      isStopped = true;
      clearInterval(timer);
      watcher?.close();
      await current;
    },
  };
}

function watchFolder(folder: string, look: () => void): FSWatcher | undefined {
  try {
    return watch(folder, look).on('error', () => undefined);
  } catch {
    return undefined; // no watches left on this machine: the timer does it
  }
}

async function sweep({ folder, receive, logger }: SpoolOptions): Promise<void> {
  // Names begin with the time of the drop: oldest first.
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  for (const name of names) {
    const file = path.join(folder, name);
    try {
      const { trigger, headers, body } = await readSpooled(file);
      const answer = await receive(trigger, headers, Buffer.from(body, 'base64'));
      await rm(file, { force: true });
      logger.info({ file: name, result: answer.result, run: answer.run }, 'spooled delivery received');
    } catch (thrown) {
      const error = asDomainError(thrown);
      const { retryable, status } = errorKinds[error.code];
      if (retryable) throw thrown; // the ones behind it keep their order and wait too
      const fields = { file: name, code: error.code, reason: error.message };
      if (status >= 500) {
        logger.error({ ...fields, error: thrown }, 'spooled delivery failed');
        continue;
      }
      await refuse(folder, name, error);
      logger.warn(fields, 'spooled delivery refused');
    }
  }
}

async function readSpooled(file: string): Promise<SpooledDelivery> {
  const { size } = await stat(file);
  if (size > maxFileBytes)
    throw new DomainError('input-too-large', `A spooled delivery has at most ${maxFileBytes} bytes`);
  const text = await readFile(file, 'utf8');
  try {
    return SpooledDelivery.parse(JSON.parse(text));
  } catch (error) {
    throw new DomainError('input-invalid', 'The file is not a spooled delivery', { cause: error });
  }
}

async function refuse(folder: string, name: string, error: DomainError): Promise<void> {
  const refused = path.join(folder, 'refused', name);
  await writeFile(`${refused}.reason`, `${error.code}: ${error.message}\n`, { mode: 0o600 });
  await rename(path.join(folder, name), refused);
}

/** How many deliveries lie in the spool, and how many were refused. */
export async function countSpooled(folder: string): Promise<{ readonly waiting: number; readonly refused: number }> {
  return { waiting: await countFiles(folder), refused: await countFiles(path.join(folder, 'refused')) };
}

async function countFiles(folder: string): Promise<number> {
  const names = await readdir(folder).catch((): string[] => []);
  return names.filter((name) => name.endsWith('.json')).length;
}
