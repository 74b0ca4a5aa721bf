import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, closeSync, mkdirSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../../../core/errors.ts';
import type { JobSpec } from '../../../ports/executor.ts';
import { entryScript, jobEnvironment } from '../job/entry-script.ts';
import { exists, readShim } from '../job/job-folder.ts';
import type { JobFolder, ShimIdentity } from '../job/job-folder.ts';
import { firstJobUser, openSockets, userOf } from '../job/job-user.ts';
import type { PreparedNetwork } from './network.ts';
import { sandboxArguments, sandboxCommand } from './sandbox.ts';
import type { SandboxHost, SandboxNetwork } from './sandbox.ts';

/** Between the making of a claim and its line lie microseconds, unless the machine is very busy. */
const claimMs = 2_000;
const systemPath = '/usr/sbin:/usr/bin:/sbin:/bin';

export interface Launch {
  readonly host: SandboxHost;
  readonly shim: string;
  readonly job: JobSpec;
  readonly folder: JobFolder;
  /** Undefined: no network, or the host's. */
  readonly network: PreparedNetwork | undefined;
  readonly networkKind: SandboxNetwork;
}

interface Command {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The sandbox's options, with the job's environment. */
  readonly options: readonly string[];
  readonly owner: string;
  readonly marker: string;
}

/**
 * Starts the shim of a job and answers whether it won the claim: another worker may have been faster, and then its shim has run nothing. Whatever this leaves when the worker dies
 * in the middle, the next start goes on from: only the shim's claim counts.
 */
export async function launchJob(launch: Launch): Promise<boolean> {
  const { folder, job } = launch;
  const user = launch.host.isolation === 'other-user' ? userOf(folder.name) : undefined;
  openSockets(job, user);
  layFolder(folder, user);
  const command = launch.host.isolation === 'none' ? plainCommand(launch) : sandboxedCommand(launch, user);
  const output = openSync(folder.output, 'a', 0o600);
  const options = openUnlinked(folder, `${command.options.join('\0')}\0`);
  try {
    const [left, right] = launch.network?.holds ?? (['ignore', 'ignore'] as const);
    const limits = [(job.timeoutMs / 1000).toFixed(3), String(job.outputLimitBytes)];
    const child = spawn('/bin/sh', [launch.shim, ...limits, command.owner, command.marker, ...command.words], {
      cwd: folder.path,
      detached: true, // a session of its own: neither the worker's end nor Ctrl-C reaches it
      env: command.env,
      stdio: ['ignore', output, output, options, 'pipe', left, right],
    });
    return await isClaimed(child, folder);
  } finally {
    closeSync(output);
    closeSync(options);
  }
}

function layFolder(folder: JobFolder, user: number | undefined): void {
  mkdirSync(folder.path, { recursive: true, mode: 0o700 });
  for (const path of [folder.work, folder.out, folder.home]) {
    mkdirSync(path, { recursive: true, mode: 0o755 });
    if (user !== undefined) chownSync(path, user, firstJobUser);
  }
}

function sandboxedCommand({ host, job, folder, network, networkKind }: Launch, user: number | undefined): Command {
  const sandbox = [
    host.bwrapPath,
    '--args',
    '3',
    '--json-status-fd',
    '7',
    '--',
    ...sandboxCommand(host, job, user ?? 0, firstJobUser),
  ];
  return {
    words: [...(network?.enter ?? []), ...sandbox],
    env: { PATH: systemPath },
    options: sandboxArguments(host, job, folder, networkKind),
    owner: user === undefined ? '-' : String(user),
    marker: '-',
  };
}

function plainCommand({ host, job, folder }: Launch): Command {
  const script = entryScript(job, job.source ?? '', `'${host.nodePath}' '${host.forwardPath}'`);
  const base = { PATH: host.path, HOME: folder.home, TMPDIR: '/tmp', LOAM_OUT: folder.out };
  return {
    words: ['sh', '-c', `cd work || exit 125\n${script}`],
    env: jobEnvironment(job, base),
    options: [],
    owner: '-',
    marker: folder.path,
  };
}

/** A file without a name: it holds secrets, and nothing of it is left once the sandbox has read it. */
function openUnlinked(folder: JobFolder, text: string): number {
  const path = join(folder.path, `options-${randomBytes(6).toString('hex')}`);
  const file = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  writeSync(file, text, 0); // at a position: the reader begins where the file does
  return file;
}

/** Waits for the shim to close its end of the pipe, which says that the claim is decided. */
async function isClaimed(child: ChildProcess, folder: JobFolder): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<Error | undefined>();
  child.once('error', resolve);
  const decided = child.stdio[4];
  decided?.once('close', () => resolve(undefined));
  if (decided !== undefined && decided !== null && 'resume' in decided) decided.resume();
  child.unref();
  const error = await promise;
  const shim = await readClaim(folder);
  if (shim !== undefined) return shim.pid === child.pid;
  throw new DomainError(
    'executor-unavailable',
    `the shim of job ${folder.name} did not start: ${error?.message ?? tail(folder.output)}`,
  );
}

/** Another shim that was faster has made the file, and may be about to write its line. */
async function readClaim(folder: JobFolder): Promise<ShimIdentity | undefined> {
  const deadline = performance.now() + claimMs;
  for (;;) {
    const shim = readShim(folder);
    if (shim !== undefined || !exists(folder.pid) || performance.now() > deadline) return shim;
    await delay(2);
  }
}

function tail(path: string): string {
  return readFileSync(path, 'utf8').slice(-500).trim();
}
