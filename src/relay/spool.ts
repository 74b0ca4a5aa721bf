// I1: a delivery is on the disk, under its name, before it is answered. I10: the spool has a size.
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { DomainError } from '../core/errors.ts';

const Content = z.object({
  version: z.literal(1),
  headers: z.record(z.string(), z.string()),
  /** Base64 of the raw body. */
  body: z.base64(),
});
/** The digest tells a file that was torn or changed: its body is signed anew, so nobody would notice later. */
const File = z.object({ digest: z.string(), content: z.string() });

/** What the name of a file says: it is all that is kept in memory. */
export interface Letter {
  readonly name: string;
  /** Grows with each delivery; also the time of its arrival in milliseconds. */
  readonly order: number;
  readonly trigger: string;
  readonly delivery: string;
  readonly sizeBytes: number;
}

export interface Spooled {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface DeadLetter extends Letter {
  readonly reason: string;
}

const namePattern = /^(\d{15})\.([A-Za-z0-9_-]{1,64})\.([0-9a-f-]{36})\.(\d{1,9})\.json$/;

/** A folder of deliveries: `waiting` to be forwarded in the order of their names, `dead` with the reason beside them. */
export class RelaySpool {
  readonly #waiting: string;
  readonly #dead: string;
  readonly #maxBytes: number;
  #lastOrder = 0;
  #usedBytes = 0;

  private constructor(folder: string, maxBytes: number) {
    this.#waiting = path.join(folder, 'waiting');
    this.#dead = path.join(folder, 'dead');
    this.#maxBytes = maxBytes;
  }

  /** Two processes may open one folder: the relay, and the command line that looks after dead letters. */
  static async open(folder: string, maxBytes = Number.MAX_SAFE_INTEGER): Promise<RelaySpool> {
    const spool = new RelaySpool(folder, maxBytes);
    for (const one of [spool.#waiting, spool.#dead]) await mkdir(one, { recursive: true, mode: 0o700 });
    await spool.waiting();
    return spool;
  }

  /** Removes what a kill left half written: its sender has had no answer. Only the relay may, before it takes anything. */
  async removeHalves(): Promise<void> {
    for (const name of await readdir(this.#waiting))
      if (name.endsWith('.tmp')) await rm(path.join(this.#waiting, name), { force: true });
  }

  /** Resolves when the delivery would survive a power cut. Throws `spool-unavailable`: then nothing of it stays. */
  async add(trigger: string, { headers, body }: Spooled): Promise<Letter> {
    const text = seal(headers, body);
    const sizeBytes = Buffer.byteLength(text);
    if (this.#usedBytes + sizeBytes > this.#maxBytes)
      throw new DomainError('spool-unavailable', 'The spool of the relay is full');
    this.#usedBytes += sizeBytes;
    this.#lastOrder = Math.max(Date.now(), this.#lastOrder + 1);
    const letter = { order: this.#lastOrder, trigger, delivery: randomUUID(), sizeBytes };
    const name = `${String(letter.order).padStart(15, '0')}.${trigger}.${letter.delivery}.${sizeBytes}.json`;
    const file = path.join(this.#waiting, name);
    try {
      await writeSynced(`${file}.tmp`, text);
      await rename(`${file}.tmp`, file);
      await syncFolder(this.#waiting);
    } catch (error) {
      this.#usedBytes -= sizeBytes;
      await Promise.all([`${file}.tmp`, file].map((one) => rm(one, { force: true }))).catch(() => undefined);
      throw new DomainError('spool-unavailable', describeFailure(error), { cause: error });
    }
    return { name, ...letter };
  }

  /** In the order of arrival. Counts anew what the spool holds. */
  async waiting(): Promise<readonly Letter[]> {
    const [waiting, dead] = [await readLetters(this.#waiting), await readLetters(this.#dead)];
    const all = [...waiting, ...dead];
    this.#usedBytes = all.reduce((sum, one) => sum + one.sizeBytes, 0);
    this.#lastOrder = all.reduce((last, one) => Math.max(last, one.order), this.#lastOrder);
    return waiting;
  }

  async dead(): Promise<readonly DeadLetter[]> {
    return Promise.all(
      (await readLetters(this.#dead)).map(async (one) => ({ ...one, reason: await this.#reason(one) })),
    );
  }

  /** Undefined when it is gone. Throws `input-invalid` when the file is not what was written. */
  async read({ name }: Letter): Promise<Spooled | undefined> {
    const text = await readFile(path.join(this.#waiting, name), 'utf8').catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    });
    return text === undefined ? undefined : unseal(text);
  }

  async remove({ name }: Letter): Promise<void> {
    for (const folder of [this.#waiting, this.#dead])
      for (const file of [name, `${name}.reason`]) await rm(path.join(folder, file), { force: true });
  }

  /** The reason is there before the letter is. */
  async bury({ name }: Letter, reason: string): Promise<void> {
    await writeFile(path.join(this.#dead, `${name}.reason`), `${reason}\n`, { mode: 0o600 });
    await move(this.#waiting, this.#dead, name);
  }

  /** Back to where its order puts it. */
  async replay({ name }: Letter): Promise<void> {
    await move(this.#dead, this.#waiting, name);
    await rm(path.join(this.#dead, `${name}.reason`), { force: true });
  }

  async #reason({ name }: Letter): Promise<string> {
    return (await readFile(path.join(this.#dead, `${name}.reason`), 'utf8').catch(() => '')).trim();
  }
}

function seal(headers: Spooled['headers'], body: Buffer): string {
  const content = JSON.stringify({ version: 1, headers, body: body.toString('base64') });
  return JSON.stringify({ digest: digestOf(content), content });
}

function unseal(text: string): Spooled {
  try {
    const { digest, content } = File.parse(JSON.parse(text));
    if (digest !== digestOf(content)) throw new Error('the digest does not fit');
    const { headers, body } = Content.parse(JSON.parse(content));
    return { headers, body: Buffer.from(body, 'base64') };
  } catch (error) {
    throw new DomainError('input-invalid', 'The file is torn or was changed', { cause: error });
  }
}

function digestOf(content: string): string {
  return createHash('sha256').update(content).digest('hex');
}

async function readLetters(folder: string): Promise<readonly Letter[]> {
  return (await readdir(folder)).sort().flatMap((name) => {
    const [, order, trigger, delivery, sizeBytes] = namePattern.exec(name) ?? [];
    if (trigger === undefined || delivery === undefined) return [];
    return [{ name, order: Number(order), trigger, delivery, sizeBytes: Number(sizeBytes) }];
  });
}

async function writeSynced(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The name, too, survives a power cut. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function move(from: string, to: string, name: string): Promise<void> {
  await rename(path.join(from, name), path.join(to, name));
  for (const folder of [to, from]) await syncFolder(folder);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function describeFailure(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? 'The disk of the relay is full'
    : 'The relay cannot write to its spool';
}
