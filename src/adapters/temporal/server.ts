// I1: a server that an earlier start left is used again, never doubled: its record carries pid and start time.
// I2: one database file belongs to one server version (the schema is neither migrated nor checked by the server).
import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import path from 'node:path';
import { DomainError } from '../../core/errors.ts';
import { prepareNamespace } from './namespace.ts';
import type { PrepareOptions } from './namespace.ts';
import { freePort, isListening } from './port.ts';
import { endProcess, identifyProcess, isRunning } from '../host/process-identity.ts';
import type { ProcessIdentity } from '../host/process-identity.ts';
import { readRecord, writeRecord } from './process-record.ts';
import type { ServerRecord } from './process-record.ts';
import { serverFlags } from './server-flags.ts';

export const serverVersion = '1.32.0';

export interface DevServerOptions {
  /** The Temporal CLI. */
  readonly program: string;
  /** Loam's data folder: the database file lies in it, record and log in `processes/` below it. */
  readonly folder: string;
  readonly namespace: string;
  /** 0: the port of the last start if it is free, else any free one. */
  readonly port: number;
  readonly uiPort: number;
  /** Time skipping, timers within 10 ms, no UI; and the server ends with this process, however that ends. */
  readonly forTests?: boolean;
  /** Without the flags that make it fast: only to measure what they do. */
  readonly withoutTuning?: boolean;
  readonly signal?: AbortSignal;
}

export interface DevServer {
  readonly address: string;
  readonly uiUrl: string;
  readonly pid: number;
  /** True when a running server of an earlier start was found. */
  readonly adopted: boolean;
  /** SIGTERM, after 10 s SIGKILL. Resolves when it is gone. Twice is fine. */
  stop(): Promise<void>;
}

const startDeadlineMs = 120_000;
const stopGraceMs = 10_000;
const pollMs = 20;
const portTries = 3;

/** Starts Temporal's dev server or adopts the one that runs on this folder. Throws `temporal-unavailable` with the end of the server's log. */
export async function startDevServer(options: DevServerOptions): Promise<DevServer> {
  await mkdir(path.dirname(recordFile(options.folder)), { recursive: true, mode: 0o700 });
  const record = await readRecord(recordFile(options.folder));
  if (record !== undefined && isRunning(record)) {
    const adopted = await adopt(record, options);
    if (adopted !== undefined) return adopted;
  }
  return launchOnFreePorts(options, record);
}

async function launchOnFreePorts(options: DevServerOptions, record: ServerRecord | undefined): Promise<DevServer> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await choosePort(options.port, record?.port);
    const uiPort = await choosePort(options.uiPort, record?.uiPort);
    try {
      return await launch(options, port, uiPort);
    } catch (error) {
      // Between choosing a free port and listening on it another program may take it.
      const mayTryAgain = (options.port === 0 || options.uiPort === 0) && attempt < portTries;
      if (!mayTryAgain || !(error instanceof AddressInUse)) throw asDomainError(error);
    }
  }
}

/** The server of an earlier start that runs on this folder, without starting one: for `loam down`. */
export async function findDevServer(folder: string): Promise<DevServer | undefined> {
  const record = await readRecord(recordFile(folder));
  return record !== undefined && isRunning(record) ? describeServer(record, true) : undefined;
}

async function adopt(record: ServerRecord, options: DevServerOptions): Promise<DevServer | undefined> {
  const server = describeServer(record, true);
  try {
    await awaitListening(record.port, options.signal, record);
    await prepareNamespace(server.address, options.namespace, prepareOptions(options, record));
    return server;
  } catch {
    options.signal?.throwIfAborted();
    await server.stop(); // ours, and stuck or on its way out: its file is needed
    return undefined;
  }
}

async function choosePort(wanted: number, last: number | undefined): Promise<number> {
  if (wanted !== 0) return wanted;
  return last !== undefined && !(await isListening(last)) ? last : freePort();
}

async function launch(options: DevServerOptions, port: number, uiPort: number): Promise<DevServer> {
  await refuseTaken(port, 'LOAM_TEMPORAL_PORT');
  if (options.forTests !== true) await refuseTaken(uiPort, 'LOAM_TEMPORAL_UI_PORT');
  const log = openSync(logFile(options.folder), 'a', 0o600);
  const database = path.join(options.folder, `temporal-${serverVersion}.db`);
  const child = spawnServer(options, serverFlags({ ...options, port, uiPort, database }), log);
  closeSync(log);
  const failure = watchStart(child);
  // One that could not be started, or has ended already, has none: `failure` tells.
  const identity = identifyProcess(child.pid ?? -1) ?? { pid: child.pid ?? -1, startTime: '' };
  const record = { ...identity, version: serverVersion, port, uiPort };
  const server = describeServer(record, false);
  try {
    // Known before it answers: a start that is killed meanwhile leaves a server that the next one finds.
    await writeRecord(recordFile(options.folder), record);
    await Promise.race([awaitListening(port, options.signal), failure.promise]);
    await Promise.race([
      prepareNamespace(server.address, options.namespace, prepareOptions(options, record)),
      failure.promise,
    ]);
    return server;
  } catch (error) {
    await server.stop();
    const lines = await lastLogLines(options.folder);
    if (lines.includes('address already in use')) throw new AddressInUse(port, lines);
    throw withLog(error, lines);
  } finally {
    failure.settle();
  }
}

/** Ends the server when the pipe on fd 3 closes, and itself not before the server has ended. */
const tie = `trap : TERM
"$@" 3<&- & server=$!
(cat >/dev/null; kill "$server") <&3 &
exec 3<&-
while kill -0 "$server" 2>/dev/null; do wait "$server"; done`;

/** In tests a shell between the two ends the server as soon as this process is gone: also when vitest is killed. */
function spawnServer(options: DevServerOptions, flags: readonly string[], log: number): ChildProcess {
  const isTied = options.forTests === true;
  const stdio: StdioOptions = isTied ? ['ignore', log, log, 'pipe'] : ['ignore', log, log];
  const [program, ...first] = isTied ? ['sh', '-c', tie, 'sh', options.program] : [options.program];
  const child = spawn(program, [...first, ...flags], { stdio, detached: true });
  child.unref();
  const pipe = child.stdio[3];
  if (pipe instanceof Socket) pipe.unref();
  return child;
}

function watchStart(child: ChildProcess): { readonly promise: Promise<never>; readonly settle: () => void } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined); // it may fail when nobody waits any more
  const onError = (error: Error): void => {
    reject(error);
  };
  const onExit = (code: number | null): void => {
    reject(new Error(`the Temporal server ended at once (exit code ${code ?? 'none'})`));
  };
  child.once('error', onError).once('exit', onExit);
  return {
    promise,
    settle: () => {
      child.off('exit', onExit);
    },
  };
}

async function awaitListening(port: number, signal: AbortSignal | undefined, server?: ProcessIdentity): Promise<void> {
  const deadline = performance.now() + startDeadlineMs;
  while (!(await isListening(port))) {
    signal?.throwIfAborted();
    if (server !== undefined && !isRunning(server)) throw new Error('the Temporal server has ended');
    if (performance.now() > deadline) {
      throw new Error(`the Temporal server did not listen on port ${port} within ${startDeadlineMs / 1000} s`);
    }
    await pause();
  }
}

function describeServer(record: ServerRecord, adopted: boolean): DevServer {
  return {
    address: `127.0.0.1:${record.port}`,
    uiUrl: `http://127.0.0.1:${record.uiPort}`,
    pid: record.pid,
    adopted,
    stop: () => endProcess(record, stopGraceMs, 'group'), // in tests the shell is its first process and the server the second
  };
}

async function refuseTaken(port: number, variable: string): Promise<void> {
  if (!(await isListening(port))) return;
  throw new DomainError(
    'temporal-unavailable',
    `Port ${port} for the Temporal server is taken by another program. Stop that program, or set ${variable} to a free port (0: any), or use a server that runs already with LOAM_TEMPORAL_ADDRESS.`,
  );
}

class AddressInUse extends Error {
  constructor(port: number, log: string) {
    super(`port ${port} or the port of the UI was taken\n${log}`);
  }
}

function asDomainError(error: unknown): unknown {
  if (!(error instanceof AddressInUse)) return error;
  return new DomainError('temporal-unavailable', error.message, { cause: error });
}

function withLog(error: unknown, log: string): unknown {
  if (error instanceof DOMException) return error; // the abort of the caller
  const reason = error instanceof Error ? error.message : String(error);
  return new DomainError('temporal-unavailable', `${reason}\n${log}`.trimEnd(), { cause: error });
}

async function lastLogLines(folder: string): Promise<string> {
  const text = await readFile(logFile(folder), 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-10).join('\n').slice(-4_000);
}

function prepareOptions(options: DevServerOptions, server: ProcessIdentity): PrepareOptions {
  return {
    deadlineMs: startDeadlineMs,
    isGone: () => !isRunning(server),
    ...(options.signal !== undefined && { signal: options.signal }),
  };
}

function recordFile(folder: string): string {
  return path.join(folder, 'processes/temporal.json');
}

function logFile(folder: string): string {
  return path.join(folder, 'processes/temporal.log');
}

async function pause(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, pollMs));
}
