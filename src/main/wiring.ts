// Builds the adapters of a process from the configuration. Only what a process asks for is opened.
import { createReadStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ActivityDependencies } from '../../activities/dependencies.ts';
import { createFolderBlobStore } from '../adapters/blob/folder/folder-blob-store.ts';
import { openEngine } from '../adapters/engine/engine.ts';
import { createDockerExecutor } from '../adapters/executor/docker/docker-executor.ts';
import type { DockerExecutor } from '../adapters/executor/docker/docker-executor.ts';
import { ExecutorSwitch } from '../adapters/executor/job/executor-switch.ts';
import { createProcessExecutor } from '../adapters/executor/process/process-executor.ts';
import { createGit } from '../adapters/git/git.ts';
import { createFolderLogStore } from '../adapters/log/folder/folder-log-store.ts';
import { createDockerImageBuilder } from '../adapters/image/docker/image-builder.ts';
import { createRowLogStore } from '../adapters/log/rows/row-log-store.ts';
import { openKeyFile } from '../adapters/secret/key-file.ts';
import type { KeyFile } from '../adapters/secret/key-file.ts';
import { createSecretBox } from '../adapters/secret/secret-box.ts';
import { createStore } from '../adapters/store/store.ts';
import { createDockerTarget } from '../adapters/target/docker/docker-target.ts';
import { createProcessTarget } from '../adapters/target/process/process-target.ts';
import { createRunEngine } from '../adapters/temporal/engine.ts';
import { prepareNamespace } from '../adapters/temporal/namespace.ts';
import { freePort, isListening } from '../adapters/temporal/port.ts';
import { findOnPath, findTool } from '../adapters/tool/find-tool.ts';
import { bubblewrap } from '../adapters/tool/pins.ts';
import { createExecTrustProvider } from '../adapters/trust/exec/exec-trust-provider.ts';
import { createStaticTrustProvider } from '../adapters/trust/static/static-trust-provider.ts';
import { childEnvironment } from '../config.ts';
import type { Config } from '../config.ts';
import type { BlobStore } from '../ports/blob-store.ts';
import type { Executor } from '../ports/executor.ts';
import type { Git } from '../ports/git.ts';
import type { LogStore } from '../ports/log-store.ts';
import type { Logger } from '../ports/logger.ts';
import { Secret } from '../ports/secret.ts';
import type { SecretBox } from '../ports/secret.ts';
import type { Store } from '../ports/store.ts';
import type { Target } from '../ports/target.ts';
import type { TrustProvider } from '../ports/trust-provider.ts';

export interface Stores {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly logs: LogStore;
  readonly git: Git;
  readonly secretBox: SecretBox;
  readonly keyFile: KeyFile;
}

/** So often it is said that Temporal does not answer. */
const temporalPatienceMs = 30_000;
const temporalPauseMs = 1_000;

/** Database, blobs, logs and mirrors of the data folder: what api and worker share. */
export async function openStores(config: Config, logger: Logger): Promise<Stores> {
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const keyFile = await openKeyFile(config.keyFile);
  const secretBox = createSecretBox(keyFile);
  const { readUrl } = config.database;
  const store = await createStore({
    ...(readUrl === undefined ? { file: path.join(config.dataDir, 'loam.db') } : { url: new Secret(readUrl()) }),
    secretBox,
    pickFrontPort: (taken) => pickFrontPort(config.front.firstPort, taken),
    logger,
    hostLeaseMs: config.hostLeaseMs,
  });
  const blobs = createFolderBlobStore({ folder: config.blobsDir });
  const logs =
    readUrl === undefined
      ? createFolderLogStore({ folder: path.join(config.dataDir, 'logs'), positions: store.logs, blobs })
      : createRowLogStore({ rows: store.logs, blobs });
  const git = createGit({
    mirrorsFolder: path.join(config.dataDir, 'mirrors'),
    logger,
    hostEnvironment: childEnvironment({}), // it takes what git needs by name: certificates, proxies, ssh
  });
  return { store, blobs, logs, git, secretBox, keyFile };
}

/** The next port from `first` on that no environment has and no program listens on; any free one when `first` is 0. */
async function pickFrontPort(first: number, taken: readonly number[]): Promise<number> {
  if (first === 0) {
    const port = await freePort();
    return taken.includes(port) ? pickFrontPort(first, taken) : port;
  }
  for (let port = first; port < 65_536; port += 1) {
    if (!taken.includes(port) && !(await isListening(port))) return port;
  }
  throw new Error(`no free port from ${first} on for the URL of an environment; set LOAM_FRONT_PORT_FIRST`);
}

/** What this machine deploys to, also for those who only start and end what lives there. */
export interface Targets {
  readonly all: readonly Target[];
  /** Brings back what shall live. What cannot be is in the log, and said by the deploys and the front. */
  restore(): Promise<void>;
  /** Ends the front and every deployed application; `restore` brings them back. */
  down(): Promise<void>;
}

export async function openTargets(config: Config, bwrapPath: string | undefined, logger: Logger): Promise<Targets> {
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const common = {
    dataFolder: config.dataDir,
    nodePath: process.execPath,
    mainFolder: import.meta.dirname,
    logger,
  };
  const secretBox = createSecretBox(await openKeyFile(config.keyFile));
  const local = createProcessTarget({ ...common, bwrapPath, secretBox });
  const docker = createDockerTarget({ ...common, engine: openEngine(config.docker.socket) });
  return {
    all: [local, docker],
    async restore() {
      await local.restore();
      await docker.restore();
    },
    async down() {
      await Promise.all([local.down(), docker.down()]);
    },
  };
}

/** Where jobs begin is decided once, here; those that an earlier worker began elsewhere go on where they are. */
export async function openExecutor(config: Config, logger: Logger): Promise<Executor> {
  const { socket, image, memoryBytes, cpus } = config.docker;
  const [processes, containers] = await Promise.all([
    openProcessExecutor(config, logger),
    createDockerExecutor({
      jobsFolder: path.join(config.dataDir, 'containers'),
      socketPath: socket,
      ...{ image, memoryBytes, cpus },
      certificateFiles: certificateFiles(),
    }),
  ]);
  const isDocker = await wantsDocker(config, containers, logger);
  return isDocker ? new ExecutorSwitch(containers, processes) : new ExecutorSwitch(processes, containers);
}

async function wantsDocker(config: Config, containers: DockerExecutor, logger: Logger): Promise<boolean> {
  const { executor } = config.jobs;
  if (executor !== 'auto') return executor === 'docker';
  try {
    const version = await containers.check();
    logger.info({ engine: version, image: config.docker.image }, 'jobs run in containers');
    return true;
  } catch (error) {
    logger.info({ why: error instanceof Error ? error.message : String(error) }, 'jobs run as processes');
    return false;
  }
}

async function openProcessExecutor(config: Config, logger: Logger): Promise<Executor> {
  return createProcessExecutor({
    jobsFolder: path.join(config.dataDir, 'jobs'),
    bwrapPath: config.jobs.bwrap,
    slirp4netnsPath: await findOnPath('slirp4netns', config.searchPath),
    hostId: config.hostId,
    logger,
    toolPath: config.searchPath,
    certificateFiles: certificateFiles(),
  });
}

/** Machines behind a proxy of their own name its certificates by such variables; tests that fetch packages need them too. */
const certificateVariables = [
  'SSL_CERT_FILE',
  'NODE_EXTRA_CA_CERTS',
  'GIT_SSL_CAINFO',
  'CURL_CA_BUNDLE',
  'REQUESTS_CA_BUNDLE',
  'PIP_CERT',
  'npm_config_cafile',
];

function certificateFiles(): Readonly<Record<string, string>> {
  const environment = childEnvironment({});
  return Object.fromEntries(
    certificateVariables.flatMap((name) => {
      const file = environment[name];
      return file === undefined || file === '' ? [] : [[name, file]];
    }),
  );
}

export function temporalAddress(config: Config): string {
  return config.temporal.address ?? `127.0.0.1:${config.temporal.port}`;
}

/** Without a supervisor: whichever process comes first makes the namespace ready, as soon as a server answers. */
export async function prepareTemporal(config: Config, logger: Logger, signal: AbortSignal): Promise<void> {
  const [address, { namespace }] = [temporalAddress(config), config.temporal];
  for (;;) {
    try {
      await prepareNamespace(address, namespace, { deadlineMs: temporalPatienceMs, signal });
      return;
    } catch (error) {
      signal.throwIfAborted();
      logger.warn({ address, namespace, error: String(error) }, 'Temporal is not ready; trying again');
      await delay(temporalPauseMs, undefined, { signal });
    }
  }
}

/** Without a supervisor, who has found it otherwise: what makes the sandboxes of jobs. */
export async function withBubblewrap(config: Config, logger: Logger): Promise<Config> {
  const { searchPath, cacheDir, jobs } = config;
  try {
    const { path: bwrap } = await findTool(bubblewrap, { given: jobs.bwrap, searchPath, cacheDir });
    return { ...config, jobs: { ...jobs, bwrap } };
  } catch (error) {
    logger.warn({ error: String(error) }, 'no bubblewrap: jobs of local applications run without isolation');
    return config;
  }
}

export function openTrustProviders({ searchPath }: Config, logger: Logger): readonly TrustProvider[] {
  return [createExecTrustProvider({ logger, searchPath }), createStaticTrustProvider()];
}

export interface WorkerDependencies {
  readonly activities: ActivityDependencies;
  close(): Promise<void>;
}

export async function openWorker(config: Config, logger: Logger): Promise<WorkerDependencies> {
  const { store, blobs, logs, git } = await openStores(config, logger);
  const engine = createRunEngine({ address: temporalAddress(config), namespace: config.temporal.namespace });
  return {
    activities: {
      store,
      blobs,
      logs,
      git,
      executor: await openExecutor(config, logger),
      targets: (await openTargets(config, config.jobs.bwrap, logger)).all,
      images: createDockerImageBuilder({
        engine: openEngine(config.docker.socket),
        registry: config.docker.registry,
        readLogin: config.docker.readRegistryLogin,
        logger,
      }),
      trustProviders: openTrustProviders(config, logger),
      engine,
      logger,
      hostId: config.hostId,
      openFile: (file) => createReadStream(file),
    },
    async close() {
      await engine.close();
      await store.close();
    },
  };
}
