import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { identifyProcess, signalProcess, waitForEnd } from '../../../host/process-identity.ts';
import type { ProcessIdentity } from '../../../host/process-identity.ts';
import type { AppLog } from './app-log.ts';
import { applicationArguments } from './bubblewrap.ts';
import type { KeeperSpec } from './keeper-spec.ts';
import { killLeftovers, markerName, markerOf, readTree } from './process-tree.ts';

export interface AppProcess {
  readonly identity: ProcessIdentity;
  /** How it ended, for a person. */
  readonly ended: Promise<string>;
  /** TERM to every process of the application, KILL after `graceMs`. Resolves when nothing is left. */
  stop(graceMs: number): Promise<void>;
}

export interface StartOptions {
  readonly spec: KeeperSpec;
  readonly replicaFolder: string;
  readonly isBoxed: boolean;
  readonly port: number;
  readonly log: AppLog;
}

export function appFolder(replicaFolder: string): string {
  return path.join(replicaFolder, 'app');
}

const boxedTokenFile = '/run/loam/trust-token';

export async function startApp(options: StartOptions): Promise<AppProcess> {
  const { spec, replicaFolder, isBoxed, log } = options;
  await mkdir(spec.keptFolder, { recursive: true });
  const child = isBoxed ? spawnBoxed(options) : spawnPlain(options, await writePlainToken(options));
  const { pid, stdout, stderr } = child;
  const ended = endOf(child);
  const identity = pid === undefined ? undefined : identifyProcess(pid);
  const written = [stdout, stderr].map((stream) => (stream === null ? Promise.resolve() : log.follow(stream)));
  return {
    // A process that is gone already has an identity that matches nothing.
    identity: identity ?? { pid: pid ?? process.pid, startTime: 'ended' },
    ended: ended.then(async (reason) => {
      killLeftovers(replicaFolder);
      await Promise.race([Promise.all(written), delay(1000)]); // a foreign holder of the pipe must not keep us
      return reason;
    }),
    stop: (graceMs) => stopTree(identity, ended, graceMs, isBoxed ? 2 : 0),
  };
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`it could not be started: ${error.message}`));
    child.once('exit', (code, signal) =>
      resolve(code === null ? `it was ended by ${signal ?? 'a signal'}` : `it ended with exit code ${code}`),
    );
  });
}

/** Variables and files reach bubblewrap through pipes: its arguments can be read by every user of the host (I7). */
function spawnBoxed({ spec, replicaFolder, port }: StartOptions): ChildProcess {
  const prefixes = spec.toolPrefixes.filter((prefix) => !`${prefix}/`.startsWith('/usr/'));
  const hostname = `${spec.application}-${spec.environment}`.slice(0, 60);
  const places = { app: appFolder(replicaFolder), kept: spec.keptFolder, toolPrefixes: prefixes, hostname };
  const { trustToken } = spec;
  const variables = environmentOf(
    spec,
    replicaFolder,
    port,
    '/data',
    trustToken === undefined ? undefined : boxedTokenFile,
  );
  const passed = [
    ...applicationArguments(places),
    ...(trustToken === undefined ? [] : ['--perms', '0400', '--file', '4', boxedTokenFile]),
    '--clearenv',
    ...Object.entries(variables).flatMap(([name, value]) => ['--setenv', name, value]),
  ];
  const child = spawn(spec.bwrapPath ?? 'bwrap', ['--args', '3', '/bin/sh', '-c', spec.start], {
    env: {},
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', ...(trustToken === undefined ? [] : ['pipe' as const])],
  });
  sendTo(child, 3, passed.map((argument) => `${argument}\0`).join(''));
  if (trustToken !== undefined) sendTo(child, 4, trustToken);
  return child;
}

function sendTo(child: ChildProcess, descriptor: number, text: string): void {
  const stream = child.stdio[descriptor];
  if (!(stream instanceof Writable)) return;
  stream.on('error', () => undefined); // it ended before it read: its exit code says more
  stream.end(text);
}

function spawnPlain({ spec, replicaFolder, port }: StartOptions, tokenFile: string | undefined): ChildProcess {
  return spawn('/bin/sh', ['-c', spec.start], {
    cwd: appFolder(replicaFolder),
    env: environmentOf(spec, replicaFolder, port, spec.keptFolder, tokenFile),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function environmentOf(
  spec: KeeperSpec,
  replicaFolder: string,
  port: number,
  home: string,
  tokenFile: string | undefined,
): Readonly<Record<string, string>> {
  const tools = spec.toolPrefixes.map((prefix) => path.join(prefix, 'bin'));
  return {
    PATH: [...new Set([...tools, '/usr/local/bin', '/usr/bin', '/bin'])].join(':'),
    HOME: home,
    ...spec.env,
    ...spec.secrets,
    PORT: String(port),
    LOAM_RELEASE: String(spec.release),
    LOAM_ENVIRONMENT: spec.environment,
    ...(tokenFile !== undefined && { LOAM_TRUST_TOKEN_FILE: tokenFile }),
    [markerName]: markerOf(replicaFolder),
  };
}

/** In memory, not on the disk: a plain process has no sandbox to put the token into. */
function plainTokenFile(replicaFolder: string): string {
  return `/dev/shm/loam-token-${markerOf(replicaFolder)}`;
}

async function writePlainToken({ spec, replicaFolder }: StartOptions): Promise<string | undefined> {
  if (spec.trustToken === undefined) return undefined;
  const file = plainTokenFile(replicaFolder);
  await rm(file, { force: true });
  await writeFile(file, spec.trustToken, { mode: 0o600, flag: 'wx' });
  return file;
}

export async function removePlainToken(replicaFolder: string): Promise<void> {
  await rm(plainTokenFile(replicaFolder), { force: true });
}

/** Bubblewrap's own processes pass no signal on, and their death kills the rest. */
async function stopTree(
  identity: ProcessIdentity | undefined,
  ended: Promise<unknown>,
  graceMs: number,
  wrappers: number,
): Promise<void> {
  if (identity === undefined) return;
  const end = performance.now() + graceMs;
  const [shell, ...others] = readTree(identity).slice(wrappers);
  // The shell that runs the start command is spared at first: its end would take the sandbox down before the application has finished its requests.
  signalAll(others, 'SIGTERM');
  if (others.length > 0) await waitForEnd(others, graceMs);
  if (shell !== undefined && others.length > 0) await waitForEnd([shell], Math.min(200, end - performance.now()));
  signalAll(readTree(identity).slice(wrappers), 'SIGTERM');
  await waitForEnd([identity], end - performance.now());
  signalAll(readTree(identity), 'SIGKILL');
  await ended;
}

function signalAll(members: readonly ProcessIdentity[], signal: NodeJS.Signals): void {
  for (const member of members) signalProcess(member, signal);
}
