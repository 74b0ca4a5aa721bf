// I7: values that must be seen nowhere, and the places where one would see them.
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';

/** Secret values by what they are. */
export type Canaries = Readonly<Record<string, string>>;

export interface Leak {
  readonly canary: string;
  readonly place: string;
}

/** A value as it is, and as people and programs write it down: JSON, addresses, hexadecimal, base64 alone or behind other bytes. */
function formsOf(value: string): readonly Buffer[] {
  const bytes = Buffer.from(value);
  // Three bytes make four characters: only whole groups look the same whatever stands around them.
  const shifted = [0, 1, 2].map((shift) => bytes.subarray(shift, shift + 3 * Math.floor((bytes.length - shift) / 3)));
  const texts = [
    value,
    JSON.stringify(value).slice(1, -1),
    encodeURIComponent(value),
    bytes.toString('hex'),
    ...shifted.map((part) => part.toString('base64')),
    ...shifted.map((part) => part.toString('base64url')),
  ];
  return [...new Set(texts)].map((text) => Buffer.from(text));
}

export class CanarySearch {
  readonly #forms: readonly { readonly canary: string; readonly forms: readonly Buffer[] }[];
  readonly #leaks = new Map<string, Leak>();
  #bytes = 0;

  constructor(canaries: Canaries) {
    this.#forms = Object.entries(canaries).map(([canary, value]) => ({ canary, forms: formsOf(value) }));
  }

  /** What was found so far. */
  get leaks(): readonly Leak[] {
    return [...this.#leaks.values()];
  }

  /** How much was looked at: a search of nothing finds nothing. */
  get searchedBytes(): number {
    return this.#bytes;
  }

  search(place: string, content: string | Uint8Array): void {
    const bytes =
      typeof content === 'string'
        ? Buffer.from(content)
        : Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    this.#bytes += bytes.length;
    for (const { canary, forms } of this.#forms) {
      if (forms.some((form) => bytes.includes(form))) this.#leaks.set(`${canary} ${place}`, { canary, place });
    }
  }

  /** All texts and bytes of a message of Temporal, at any depth; payloads as they are, decoded. */
  searchMessage(place: string, value: unknown): void {
    for (const piece of piecesOf(value)) this.search(place, piece);
  }

  /** Files below a folder, also what is compressed in them. */
  searchFolder(folder: string, isAllowed: (file: string) => boolean): void {
    for (const file of filesBelow(folder)) {
      const name = path.relative(folder, file);
      if (isAllowed(name)) continue;
      const bytes = readIfThere(file);
      if (bytes === undefined) continue;
      this.search(name, bytes);
      if (bytes[0] === 0x1f && bytes[1] === 0x8b) this.search(`${name} (unpacked)`, gunzipSync(bytes));
    }
  }
}

export function* piecesOf(value: unknown): Generator<string | Uint8Array> {
  if (typeof value === 'string' || value instanceof Uint8Array) yield value;
  else if (typeof value === 'object' && value !== null) {
    for (const [key, part] of value instanceof Map ? value.entries() : Object.entries(value)) {
      yield String(key);
      yield* piecesOf(part);
    }
  }
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

/** Files of a Loam that runs come and go. */
function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}

/** Looks at the command lines of all processes of the machine, over and over. */
export function watchCommandLines(canaries: CanarySearch): { readonly stop: () => Promise<number> } {
  const stopping = new AbortController();
  let rounds = 0;
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      for (const pid of readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
        const commandLine = readIfThere(`/proc/${pid}/cmdline`);
        if (commandLine !== undefined) canaries.search('a command line', commandLine);
      }
      rounds += 1;
      await delay(30);
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await watching;
      return rounds;
    },
  };
}
