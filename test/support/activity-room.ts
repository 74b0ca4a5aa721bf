// A worker's activities over real stores, logs and git, with jobs, releases and tokens that the test plays, and deaths at chosen moments.
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Info } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createActivities } from '../../activities/index.ts';
import type { ActivityDependencies, ActivityLimits } from '../../activities/dependencies.ts';
import type { Activities, ResolveResult } from '../../activities/types.ts';
import { parseApplicationName, parseDigest, parseSha } from '../../src/core/model/ids.ts';
import type { RunId, Sha } from '../../src/core/model/ids.ts';
import { createFolderBlobStore } from '../../src/adapters/blob/folder/folder-blob-store.ts';
import { createFolderLogStore } from '../../src/adapters/log/folder/folder-log-store.ts';
import { createSecretBox } from '../../src/adapters/secret/secret-box.ts';
import { createStore } from '../../src/adapters/store/store.ts';
import { createStaticTrustProvider } from '../../src/adapters/trust/static/static-trust-provider.ts';
import { createRunEngine } from '../../src/adapters/temporal/engine.ts';
import type { BlobStore } from '../../src/ports/blob-store.ts';
import type { LogKey, LogStore } from '../../src/ports/log-store.ts';
import { Secret } from '../../src/ports/secret.ts';
import type { Store } from '../../src/ports/store.ts';
import type { Target } from '../../src/ports/target.ts';
import { openGitPlace, serveGit } from '../integration/contracts/git-builders.ts';
import type { GitPlace } from '../integration/contracts/git-builders.ts';
import { FakeExecutor } from './fake-executor.ts';
import { FakeImageBuilder } from './fake-image-builder.ts';
import { FakeTarget } from './fake-target.ts';
import { FakeTrustProvider } from './fake-trust-provider.ts';

export const thingy = parseApplicationName('thingy');

export interface ActivityRoom {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly logs: LogStore;
  readonly gitPlace: GitPlace;
  /** What was pushed, oldest first. */
  readonly commits: Sha[];
  readonly executor: FakeExecutor;
  readonly images: FakeImageBuilder;
  readonly target: FakeTarget;
  readonly trustProvider: FakeTrustProvider;
  readonly dependencies: ActivityDependencies;
  /** Log of the worker, as JSON lines. */
  readonly workerLog: string[];
  /** The logs as another worker has them. */
  openLogs(): LogStore;
  close(): Promise<void>;
}

const limits: Partial<ActivityLimits> = { heartbeatEveryMs: 20, stopGraceMs: 500, healthTimeoutMs: 2_000, drainMs: 0 };

export async function makeActivityRoom(options: { readonly isLocal?: boolean } = {}): Promise<ActivityRoom> {
  const { isLocal = true } = options;
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-activities-'));
  const store = await openStore(folder);
  const blobs = createFolderBlobStore({ folder: path.join(folder, 'blobs') });
  const openLogs = () => createFolderLogStore({ folder: path.join(folder, 'logs'), positions: store.logs, blobs });
  const logs = openLogs();
  const gitPlace = await openGitPlace();
  const server = isLocal ? undefined : await serveGit(gitPlace.remote, 'old');
  // Only locks ask the engine: test/integration/temporal has them with a server.
  const engine = createRunEngine({ address: '127.0.0.1:1', namespace: 'loam' });
  const executor = new FakeExecutor();
  const trustProvider = new FakeTrustProvider();
  const fakes = { executor, images: new FakeImageBuilder(), target: new FakeTarget() };
  const workerLog: string[] = [];
  const log = (fields: object, message: string) => void workerLog.push(JSON.stringify({ ...fields, message }));
  const dependencies: ActivityDependencies = {
    executor,
    images: fakes.images,
    targets: [fakes.target],
    trustProviders: [trustProvider, createStaticTrustProvider()],
    git: gitPlace.git,
    engine,
    store,
    blobs,
    logs,
    logger: { debug: log, info: log, warn: log, error: log },
    hostId: 'host-1',
    openFile: (file) => executor.openFile(file),
    limits,
  };
  const repositoryUrl = server?.url ?? gitPlace.remote;
  const application = { name: thingy, repositoryUrl, local: isLocal, branches: [], trigger: 'trigger-1' };
  await store.applications.add(application, new Secret('trigger-secret'));
  return {
    ...fakes,
    trustProvider,
    store,
    blobs,
    logs,
    gitPlace,
    commits: [],
    dependencies,
    workerLog,
    openLogs,
    async close() {
      await engine.close();
      await server?.close();
      await gitPlace.close();
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function openStore(folder: string): Promise<Store> {
  let port = 20_000;
  return createStore({
    file: path.join(folder, 'loam.db'),
    secretBox: createSecretBox({ key: new Uint8Array(32).fill(7) }),
    pickFrontPort: () => Promise.resolve((port += 1)),
  });
}

/** All that stands in the log of an attempt. */
export async function readLog({ logs }: Pick<ActivityRoom, 'logs'>, key: LogKey): Promise<string> {
  const { bytes } = await logs.read(key, 0, 1_000_000);
  return new TextDecoder().decode(bytes);
}

/** From now on the repository cannot be reached; its mirror stays. */
export function loseRemote({ gitPlace }: Pick<ActivityRoom, 'gitPlace'>): Promise<void> {
  return rm(gitPlace.remote, { recursive: true });
}

/** A commit with this plan, pushed: the run waits for `resolve`. */
export async function push(room: ActivityRoom, plan: string | undefined, ref = 'refs/heads/main'): Promise<RunId> {
  const before = room.commits.at(-1);
  const files = plan === undefined ? {} : { 'loam.yaml': plan };
  const sha = await room.gitPlace.push(files, `change ${room.commits.length}`);
  room.commits.push(sha);
  const answer = await room.store.deliveries.receive({
    application: thingy,
    source: 'manual',
    deliveryId: sha,
    bodyDigest: parseDigest(`sha256:${createHash('sha256').update(sha).digest('hex')}`),
    push: {
      ref,
      before,
      after: sha,
      pushedAtMs: Date.now(),
      message: `$(touch /tmp/x) ${sha.slice(0, 7)}`,
      author: 'A. Author',
    },
    ignored: undefined,
  });
  if (answer.result !== 'accepted') throw new Error(`not accepted: ${JSON.stringify(answer)}`);
  const [run] = await room.store.runs.list({ application: thingy, limit: 1 });
  if (run === undefined) throw new Error('no run');
  return run.id;
}

export function shaOf(text: string): Sha {
  return parseSha(createHash('sha1').update(text).digest('hex'));
}

export type Ready = Extract<ResolveResult, { type: 'ready' }>;

export async function resolveRun(room: ActivityRoom, run: RunId): Promise<Ready> {
  const result = await call(room, 'resolve', { run });
  if (result.type !== 'ready') throw new Error(`resolve answered ${JSON.stringify(result)}`);
  return result;
}

export function findTask<Type extends Ready['graph']['tasks'][number]['type']>(
  { graph }: Ready,
  name: string,
  type: Type,
): Extract<Ready['graph']['tasks'][number], { type: Type }> {
  const task = graph.tasks.find((one) => one.name === name);
  if (task?.type !== type) throw new Error(`no ${type} ${name}`);
  return task as Extract<Ready['graph']['tasks'][number], { type: Type }>;
}

/** Beats and cancellation of one execution; the SDK's own log is not the subject of these tests. */
export function makeEnvironment(info: Partial<Info> = {}): MockActivityEnvironment {
  const ignore = () => undefined;
  const logger = { log: ignore, trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };
  return new MockActivityEnvironment(info, { logger });
}

/** One execution of an activity by a worker of its own. */
export function call<Name extends keyof Activities>(
  room: Pick<ActivityRoom, 'dependencies'>,
  name: Name,
  input: Parameters<Activities[Name]>[0],
  environment = makeEnvironment(),
): ReturnType<Activities[Name]> {
  const activities = createActivities(room.dependencies);
  return environment.run(activities[name] as never, input) as ReturnType<Activities[Name]>;
}

/** A port whose calls die: before or after the real call of a step, as a kill -9 would have it. */
function dyingAt<T extends object>(port: T, method: keyof T & string, when: 'before' | 'after', nth = 1): T {
  let calls = 0;
  return new Proxy(port, {
    get(whole, name) {
      const value: unknown = Reflect.get(whole, name);
      if (typeof value !== 'function') return value;
      const real = (value as (...args: unknown[]) => Promise<unknown>).bind(whole);
      if (name !== method) return real;
      return async (...args: unknown[]) => {
        calls += 1;
        if (calls !== nth) return real(...args);
        if (when === 'after') await real(...args);
        throw new Error(`killed ${when} ${method}`);
      };
    },
  });
}

export async function waitFor(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

type Ports = Pick<ActivityDependencies, 'executor' | 'logs'> & { readonly target: Target } & Pick<
    Store,
    'tasks' | 'releases' | 'runs'
  >;

/** The same room with one port that dies once, at one call. */
export function dyingRoom(
  { dependencies }: Pick<ActivityRoom, 'dependencies'>,
  port: keyof Ports,
  method: string,
  when: 'before' | 'after',
): Pick<ActivityRoom, 'dependencies'> {
  const { store } = dependencies;
  const [target] = dependencies.targets;
  const real: object = { ...store, ...dependencies, target }[port] ?? {};
  const dying = { [port]: dyingAt(real, method as never, when) };
  // `logs` is the name of a port and of a part of the store: the port is meant.
  if (port === 'target') return { dependencies: { ...dependencies, targets: [dying['target'] as Target] } };
  const isPart = !(port in dependencies);
  return { dependencies: isPart ? { ...dependencies, store: { ...store, ...dying } } : { ...dependencies, ...dying } };
}
