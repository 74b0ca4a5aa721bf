import { appendFile, open, rename, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { createMasker } from '../../../../core/log/masker.ts';
import { Secret } from '../../../../ports/secret.ts';

const longestLine = 64 * 1024;

/** What an application writes: secrets masked (I7), size limited, and every cut said in the log itself. */
export class AppLog {
  readonly #file: string;
  readonly #maxBytes: number;
  readonly #secrets: readonly Secret[];
  #bytes: number | undefined;
  #droppedBytes = 0;
  #queue: Promise<void> = Promise.resolve();

  constructor(replicaFolder: string, secrets: readonly string[], maxBytes = 5 * 2 ** 20) {
    this.#file = logFile(replicaFolder);
    this.#maxBytes = maxBytes;
    this.#secrets = secrets.map((secret) => new Secret(secret));
  }

  /** Writes the stream, line by line, until it ends. The source waits while the disk is slow. */
  async follow(source: Readable): Promise<void> {
    const masker = createMasker(this.#secrets, 0);
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for await (const chunk of source) {
        rest += decoder.decode(masker.push(chunk as Uint8Array).text, { stream: true });
        const lineEnd = rest.lastIndexOf('\n') + 1;
        const end = lineEnd === 0 && rest.length > longestLine ? rest.length : lineEnd;
        if (end > 0) await this.#write(rest.slice(0, end));
        rest = rest.slice(end);
      }
    } catch {
      // The stream broke with its process: what came is written below.
    }
    rest += decoder.decode(masker.flush().text);
    if (rest !== '') await this.#write(`${rest}\n`);
  }

  /** A line of the keeper's own. */
  note(line: string): Promise<void> {
    return this.#write(`[loam] ${line}\n`);
  }

  #write(text: string): Promise<void> {
    this.#queue = this.#queue.then(() => this.#append(text));
    return this.#queue;
  }

  async #append(text: string): Promise<void> {
    try {
      this.#bytes ??= await sizeOf(this.#file);
      if (this.#bytes > this.#maxBytes) await this.#rotate();
      await appendFile(this.#file, text, { mode: 0o600 });
      this.#bytes += Buffer.byteLength(text);
    } catch {
      this.#droppedBytes += Buffer.byteLength(text); // a full disk must not stop the application
    }
  }

  /** Keeps this file and the one before it. */
  async #rotate(): Promise<void> {
    this.#droppedBytes += await sizeOf(`${this.#file}.1`);
    await rename(this.#file, `${this.#file}.1`);
    this.#bytes = 0;
    if (this.#droppedBytes === 0) return;
    await appendFile(this.#file, `[loam] the log is limited: ${this.#droppedBytes} bytes of older output are gone\n`, {
      mode: 0o600,
    });
  }
}

export function logFile(replicaFolder: string): string {
  return path.join(replicaFolder, 'app.log');
}

/** The last lines that the application wrote. */
export async function readLogTail(replicaFolder: string, maxBytes = 4096): Promise<string> {
  const file = logFile(replicaFolder);
  const last = await readEnd(file, maxBytes);
  if (last.length >= maxBytes) return last.slice(last.indexOf('\n') + 1);
  return (await readEnd(`${file}.1`, maxBytes - last.length)) + last;
}

async function readEnd(file: string, maxBytes: number): Promise<string> {
  const handle = await open(file, 'r').catch(() => undefined);
  if (handle === undefined) return '';
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, maxBytes);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.subarray(0, bytesRead).toString('utf8');
  } finally {
    await handle.close();
  }
}

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0;
}
