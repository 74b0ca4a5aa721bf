import { spawn } from 'node:child_process';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { unpackArguments } from './bubblewrap.ts';

/** Why an artifact cannot be unpacked, for a person; trying again would not help. */
export class UnpackError extends Error {}

export interface UnpackOptions {
  readonly artifact: string;
  /** Made by this call, whole or not at all. */
  readonly folder: string;
  readonly bwrapPath: string | undefined;
  readonly limits?: { readonly bytes: number; readonly entries: number };
}

const standardLimits = { bytes: 4 * 2 ** 30, entries: 200_000 };
const timeoutMs = 300_000;

/**
 * Unpacks a foreign archive (I8). It is read twice inside the sandbox: first only listed, so that a bomb, a device or a member that leaves the folder is refused
 * before anything is written.
 */
export async function unpackArtifact(options: UnpackOptions): Promise<void> {
  const { artifact, folder } = options;
  if (await exists(folder)) return;
  if (!(await exists(artifact))) throw new UnpackError('the artifact is not stored any more');
  const fresh = `${folder}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  await checkMembers(options, fresh);
  const flags = ['--extract', '--no-same-owner', '--no-same-permissions', '--delay-directory-restore'];
  const end = await runTar(options, fresh, flags, () => undefined);
  if (end.code !== 0) throw new UnpackError(`tar ended with ${end.code ?? 'a signal'}: ${end.errors}`);
  await rename(fresh, folder);
}

async function checkMembers(options: UnpackOptions, fresh: string): Promise<void> {
  const limits = options.limits ?? standardLimits;
  let bytes = 0;
  let entries = 0;
  let problem: string | undefined;
  const end = await runTar(
    options,
    fresh,
    ['--list', '--verbose', '--numeric-owner', '--quoting-style=escape'],
    (line, stop) => {
      const member = parseMember(line);
      entries += 1;
      bytes += member?.bytes ?? 0;
      problem ??= problemOf(member, line);
      if (bytes > limits.bytes) problem ??= `it holds more than ${limits.bytes} bytes`;
      if (entries > limits.entries) problem ??= `it holds more than ${limits.entries} members`;
      if (problem !== undefined) stop();
    },
  );
  if (problem !== undefined) throw new UnpackError(problem);
  if (end.code !== 0) throw new UnpackError(`it is not a tar archive: ${end.errors}`);
}

interface Member {
  readonly kind: string;
  readonly bytes: number;
  readonly name: string;
}

/** `-rw-r--r-- 0/0 12 2025-01-31 10:00 name`, with ` -> target` or ` link to target` behind it. */
function parseMember(line: string): Member | undefined {
  const match = /^(.)\S{9}\S? +\S+ +([\d,]+) \S+ \S+ (.*)$/.exec(line);
  const [, kind, size, rest] = match ?? [];
  if (kind === undefined || size === undefined || rest === undefined) return undefined;
  const separator = { l: ' -> ', h: ' link to ' }[kind];
  const name = separator === undefined ? rest : rest.slice(0, Math.max(0, rest.lastIndexOf(separator)));
  const bytes = size.includes(',') ? 0 : Number(size);
  return { kind, bytes, name };
}

function problemOf(member: Member | undefined, line: string): string | undefined {
  if (member === undefined) return `it has a member that cannot be read: ${line.slice(0, 120)}`;
  const name = member.name.slice(0, 120);
  if (!'-dlh'.includes(member.kind)) return `"${name}" is neither a file, a folder nor a link`;
  if (path.isAbsolute(member.name) || member.name.split('/').includes('..')) return `"${name}" leaves its folder`;
  return undefined;
}

interface TarEnd {
  readonly code: number | null;
  readonly errors: string;
}

async function runTar(
  options: UnpackOptions,
  fresh: string,
  flags: readonly string[],
  onLine: (line: string, stop: () => void) => void,
): Promise<TarEnd> {
  const { bwrapPath, artifact } = options;
  const isBoxed = bwrapPath !== undefined;
  const tar = ['tar', ...flags, '--file', isBoxed ? '/artifact' : artifact];
  const [program = '', ...rest] = isBoxed ? [bwrapPath, ...unpackArguments(artifact, fresh), ...tar] : tar;
  const child = spawn(program, rest, {
    cwd: fresh,
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => onLine(line, () => child.kill('SIGKILL')));
  const [code, errors] = await Promise.all([ended, text(child.stderr)]);
  return { code, errors: errors.trim().slice(-500) };
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
