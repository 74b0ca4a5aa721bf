// What the machine brings: system, Node, git, pip, user namespaces, Docker.
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import path from 'node:path';
import { z } from 'zod';
import { findOnPath } from '../../adapters/tool/find-tool.ts';
import { runProgram } from '../../adapters/tool/run-program.ts';
import type { Config } from '../../config.ts';
import { safeJson } from '../processes.ts';
import { missing, ok, warning } from './check.ts';
import type { Check } from './check.ts';

const Package = z.object({ engines: z.object({ node: z.string() }) });
const EngineVersion = z.object({ Version: z.string() });

const packageFile = path.resolve(import.meta.dirname, '../../../package.json');
const timeoutMs = 10_000;
const engineTimeoutMs = 3_000;
/** Protocol allow-lists for every transport (`protocol.allow`) are older; this one is what the distributions that carry Node 24 have. */
const leastGit = [2, 25] as const;

export function checkPlatform(): Check {
  const system = `${process.platform}-${process.arch}`;
  if (process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch)) return ok('platform', system);
  return missing(
    'platform',
    `${system}: Loam runs on Linux (x86_64, arm64)`,
    'use a Linux machine, container or virtual machine',
  );
}

export async function checkNode(): Promise<Check> {
  const { engines } = Package.parse(safeJson(await readFile(packageFile, 'utf8')));
  const needed = engines.node.replace(/^>=/, '');
  const found = `${process.versions.node} (needs ${needed} or newer) at ${process.execPath}`;
  if (isAtLeast(process.versions.node, numbersOf(needed))) return ok('node', found);
  return missing('node', found, 'start Loam with "npm start" or "npx loam": they bring the pinned Node');
}

export async function checkGit(config: Config): Promise<Check> {
  const program = await findOnPath('git', config.searchPath);
  const remedy = 'install git (Debian, Ubuntu: apt-get install git)';
  if (program === undefined) return missing('git', 'not on PATH', remedy);
  const { exitCode, output } = await runProgram(program, ['--version'], { timeoutMs });
  const version = /git version (\d+\.\d+(?:\.\d+)?)/.exec(output)?.[1];
  if (exitCode !== 0 || version === undefined) return missing('git', `${program} does not run`, remedy);
  const found = `${version} at ${program}`;
  return isAtLeast(version, leastGit)
    ? ok('git', found)
    : warning('git', `${found} is older than ${leastGit.join('.')}`, remedy);
}

/** pip only fetches: without it the tools must be there already. `version`: undefined when no pip works. */
export async function findPip(config: Config): Promise<string | undefined> {
  for (const [name, ...first] of [['python3', '-m', 'pip'], ['pip3'], ['pip']] as const) {
    const program = await findOnPath(name, config.searchPath);
    if (program === undefined) continue;
    const { exitCode, output } = await runProgram(program, [...first, '--version'], { timeoutMs });
    const version = /pip (\d[\w.]*)/.exec(output)?.[1];
    if (exitCode === 0 && version !== undefined) return `${version} (${[name, ...first].join(' ')}) at ${program}`;
  }
  return undefined;
}

export function checkPip(pip: string | undefined, isNeeded: boolean): Check {
  if (pip !== undefined) return ok('pip', pip);
  const found = isNeeded ? 'not found, and tools are to be fetched' : 'not found; nothing is to be fetched';
  if (!isNeeded) return ok('pip', found);
  return warning('pip', found, 'install Python 3 with pip (Debian, Ubuntu: apt-get install python3-pip)');
}

/** Whether an ordinary user may make sandboxes here; what really starts is checked by starting it. */
export async function checkUserNamespaces(): Promise<Check> {
  const name = 'user namespaces';
  const [limit, clone, restricted] = await Promise.all([
    readSetting('/proc/sys/user/max_user_namespaces'),
    readSetting('/proc/sys/kernel/unprivileged_userns_clone'),
    readSetting('/proc/sys/kernel/apparmor_restrict_unprivileged_userns'),
  ]);
  const isRoot = process.getuid?.() === 0;
  if (limit === '0')
    return warning(name, 'switched off (user.max_user_namespaces = 0)', 'sysctl user.max_user_namespaces=10000');
  if (!isRoot && clone === '0')
    return warning(
      name,
      'only for root (kernel.unprivileged_userns_clone = 0)',
      'sysctl kernel.unprivileged_userns_clone=1',
    );
  if (!isRoot && restricted === '1') {
    return warning(
      name,
      'restricted by AppArmor (kernel.apparmor_restrict_unprivileged_userns = 1)',
      'allow bwrap in an AppArmor profile, or sysctl kernel.apparmor_restrict_unprivileged_userns=0',
    );
  }
  return ok(name, limit === undefined ? 'no limit known' : `up to ${limit}`);
}

/** Without one Loam works; what asks for images waits for it. Whether jobs use it, `executor` says. */
export async function checkDocker({ docker: { socket } }: Config): Promise<Check> {
  const version = await readEngineVersion(socket);
  if (version !== undefined) return ok('docker', `engine ${version} on ${socket}`);
  return ok(
    'docker',
    `no engine answers on ${socket}: no images are built and no containers deployed (LOAM_DOCKER_SOCKET names another socket)`,
  );
}

async function readEngineVersion(socketPath: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const call = request({ socketPath, path: '/version', signal: AbortSignal.timeout(engineTimeoutMs) }, (response) => {
    let text = '';
    response
      .setEncoding('utf8')
      .on('data', (chunk: string) => (text = (text + chunk).slice(0, 65_536)))
      .on('close', () => resolve(text));
  });
  call.on('error', () => resolve('')).end();
  return EngineVersion.safeParse(safeJson(await promise)).data?.Version;
}

async function readSetting(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
}

function numbersOf(version: string): readonly number[] {
  return version.split('.').map(Number);
}

function isAtLeast(version: string, least: readonly number[]): boolean {
  const found = numbersOf(version);
  for (const [index, wanted] of least.entries()) {
    const here = found[index] ?? 0;
    if (here !== wanted) return here > wanted;
  }
  return true;
}
