// Keeps I5 and I10: the same choice of files gives the same bytes, and nothing leaves the tree that is no file of the commit.
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import dockerignore from '@balena/dockerignore';
import { extract, pack } from 'tar-stream';
import type { Extract, Header, Pack } from 'tar-stream';

type Entry = Extract extends AsyncIterable<infer E> ? E : never;

export interface BuildContext {
  /** The Dockerfile's text; undefined when the tree has none there. */
  readonly dockerfile: string | undefined;
  /** Time of the commit: what all files of a snapshot carry. */
  readonly epochSeconds: number;
  /** A fresh tar of what `.dockerignore` leaves. */
  open(): Readable;
}

const maxTextBytes = 1024 * 1024;
const ignoreFile = '.dockerignore';

/** Reads the snapshot once for what must be known before; the context itself is streamed, never held. */
export async function readContext(snapshot: string, dockerfile: string): Promise<BuildContext> {
  // As the reference builder: a file beside the Dockerfile that is named after it wins.
  const own = `${dockerfile}${ignoreFile}`;
  const texts = new Map<string, string>();
  let epochSeconds = 0;
  await eachEntry(snapshot, async (entry) => {
    const { name, type, size, mtime } = entry.header;
    epochSeconds = Math.max(epochSeconds, Math.floor(mtime.getTime() / 1000));
    if (type === 'file' && size <= maxTextBytes && [dockerfile, own, ignoreFile].includes(name))
      texts.set(name, await readText(entry));
  });
  const rules = dockerignore.default({ ignorecase: false }).add(texts.get(own) ?? texts.get(ignoreFile) ?? '');
  const isKept = (name: string): boolean => name === dockerfile || name === ignoreFile || !rules.ignores(name);
  return {
    dockerfile: texts.get(dockerfile),
    epochSeconds,
    open: () => filter(snapshot, isKept, epochSeconds),
  };
}

function filter(snapshot: string, isKept: (name: string) => boolean, epochSeconds: number): Readable {
  const out = pack();
  const filling = eachEntry(snapshot, async (entry) => {
    const header = normalize(entry.header, epochSeconds);
    if (header !== undefined && isKept(header.name.replace(/\/$/, ''))) await add(out, header, entry);
  });
  filling.then(
    () => out.finalize(),
    (error: unknown) => out.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return Readable.from(out);
}

type Written = Partial<Header> & Pick<Header, 'name' | 'type'>;

/** Owner, time and mode as everywhere. What a commit cannot hold (devices, hard links, paths that leave the tree) is left out. */
function normalize({ type, name, linkname, size, mode }: Header, epochSeconds: number): Written | undefined {
  const isInside = !name.startsWith('/') && !name.split('/').includes('..');
  if (!isInside || (type !== 'file' && type !== 'directory' && type !== 'symlink')) return undefined;
  const isExecutable = type === 'directory' || (mode & 0o100) !== 0;
  return {
    type,
    name,
    ...(type === 'symlink' && { linkname }),
    ...(type === 'file' && { size }),
    mode: isExecutable ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    mtime: new Date(epochSeconds * 1000),
  };
}

async function add(out: Pack, header: Written, entry: Entry): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const sink = out.entry(header, (error) => {
    if (error instanceof Error) reject(error);
    else resolve(undefined);
  });
  if (header.type === 'file') entry.pipe(sink);
  await promise;
}

/** Takes the entries one after the other; what `take` does not read is passed over. */
async function eachEntry(snapshot: string, take: (entry: Entry) => Promise<void>): Promise<void> {
  const entries = extract();
  const reading = pipeline(createReadStream(snapshot), entries);
  for await (const entry of entries) {
    await take(entry);
    entry.resume();
  }
  await reading;
}

async function readText(entry: Entry): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of entry) parts.push(part as Uint8Array);
  return Buffer.concat(parts).toString('utf8');
}
