// Keeps the processes of one machine running. Temporal, front, keepers and shims outlive it and are adopted by the next start.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { prepareNamespace } from '../../adapters/temporal/namespace.ts';
import { freePort, isListening } from '../../adapters/temporal/port.ts';
import { findDevServer, startDevServer } from '../../adapters/temporal/server.ts';
import { findTool } from '../../adapters/tool/find-tool.ts';
import { bubblewrap, temporalCli } from '../../adapters/tool/pins.ts';
import type { Config } from '../../config.ts';
import type { Logger } from '../../ports/logger.ts';
import { safeJson } from '../processes.ts';
import { createLogger } from '../logger.ts';
import { openTargets } from '../wiring.ts';
import type { Targets } from '../wiring.ts';
import { createChildren } from './children.ts';
import { Endpoint } from './endpoint.ts';

export interface SupervisorOptions {
  readonly config: Config;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface Supervisor {
  readonly endpoint: Endpoint;
  readonly targets: Targets;
  /** Lets worker, api and relay drain and end; what outlives the supervisor stays. */
  stop(): Promise<void>;
}

const mainFolder = path.resolve(import.meta.dirname, '..');
const stacksOff = path.resolve(mainFolder, '../adapters/temporal/promise-stacks-off.ts');
const watchEveryMs = 2_000;
const drainMs = 30_000;
/** For a Temporal server that somebody else runs to answer. */
const foreignServerMs = 30_000;

/** The supervisor's own log: its terminal belongs to the person. */
export function createSupervisorLogger(config: Config): Logger {
  return createLogger('up', config.logLevel, path.join(config.dataDir, 'processes/up.log'));
}

export async function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const { config, say, signal } = options;
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const bwrap = await findTool(bubblewrap, { ...toolOptions(options), given: config.jobs.bwrap }).catch(
    (error: unknown) => {
      say(
        `no bubblewrap: jobs of local applications run without isolation. ${error instanceof Error ? error.message : String(error)}`,
      );
      return undefined;
    },
  );
  const temporal = await startTemporal(options);
  const endpoint = {
    ...(await chooseDoors(options)),
    temporalAddress: temporal.address,
    temporalUiUrl: temporal.uiUrl,
  };
  await writeEndpoint(config.dataDir, endpoint);
  const env = {
    LOAM_DATA_DIR: config.dataDir,
    LOAM_API_PORT: new URL(endpoint.apiUrl).port,
    LOAM_TEMPORAL_ADDRESS: temporal.address,
    ...(bwrap === undefined ? {} : { LOAM_BWRAP_BIN: bwrap.path }),
  };
  const targets = await openTargets(config, bwrap?.path, createSupervisorLogger(config));
  await targets.restore();
  const children = createChildren({ dataFolder: config.dataDir, say });
  try {
    await Promise.all([
      children.start({ name: 'api', file: path.join(mainFolder, 'api.ts'), env }),
      children.start({
        name: 'worker',
        file: path.join(mainFolder, 'worker.ts'),
        nodeOptions: ['--import', stacksOff],
        env,
      }),
      children.start({
        name: 'relay',
        file: path.join(mainFolder, 'relay.ts'),
        env: { ...env, LOAM_RELAY_PORT: new URL(endpoint.relayUrl).port, LOAM_URL: endpoint.apiUrl },
      }),
    ]);
  } catch (error) {
    await children.stop(drainMs);
    throw error;
  }
  const watching = new AbortController();
  const watched = watch(options, temporal, targets, AbortSignal.any([signal, watching.signal]));
  return {
    endpoint,
    targets,
    async stop() {
      watching.abort();
      await watched;
      await children.stop(drainMs);
    },
  };
}

function toolOptions({ config, say, signal }: SupervisorOptions): {
  searchPath: string;
  cacheDir: string;
  signal: AbortSignal;
  onProgress: (line: string) => void;
} {
  return { searchPath: config.searchPath, cacheDir: config.cacheDir, signal, onProgress: say };
}

interface TemporalEndpoint {
  readonly address: string;
  readonly uiUrl: string;
  /** Starts the server again if it has ended; true when it had. A server that somebody else runs is left alone. */
  readonly revive: () => Promise<boolean>;
}

async function startTemporal(options: SupervisorOptions): Promise<TemporalEndpoint> {
  const { config, say, signal } = options;
  const { address, namespace } = config.temporal;
  if (address !== undefined) {
    say(`Temporal: using the server at ${address}`);
    await prepareNamespace(address, namespace, { deadlineMs: foreignServerMs, signal });
    return { address, uiUrl: '', revive: () => Promise.resolve(false) };
  }
  const program = await findTool(temporalCli, { ...toolOptions(options), given: config.temporal.program });
  const folder = config.dataDir;
  const running = await findDevServer(folder);
  const port = running === undefined ? await portOrAny(config.temporal.port, say, 'Temporal') : config.temporal.port;
  const uiPort =
    running === undefined ? await portOrAny(config.temporal.uiPort, say, "Temporal's UI") : config.temporal.uiPort;
  const server = await startDevServer({ program: program.path, folder, namespace, port, uiPort, signal });
  say(
    `Temporal ${program.version} (${program.source}) ${server.adopted ? 'runs already' : 'started'}: ${server.address}, UI ${server.uiUrl}`,
  );
  const again = {
    program: program.path,
    folder,
    namespace,
    port: Number(server.address.split(':').at(-1)),
    uiPort: Number(new URL(server.uiUrl).port),
  };
  return {
    address: server.address,
    uiUrl: server.uiUrl,
    async revive() {
      if ((await findDevServer(folder)) !== undefined) return false;
      await startDevServer(again);
      return true;
    },
  };
}

/** 0 (any) when the wanted port is taken by a program that is not ours. */
async function portOrAny(wanted: number, say: (line: string) => void, what: string): Promise<number> {
  if (wanted === 0 || !(await isListening(wanted))) return wanted;
  say(`port ${String(wanted)} for ${what} is taken by another program; taking a free one`);
  return 0;
}

async function chooseDoors({ config, say }: SupervisorOptions): Promise<Pick<Endpoint, 'apiUrl' | 'relayUrl'>> {
  const last = await readEndpoint(config.dataDir);
  const apiPort = await choosePort(config.api.port, last?.apiUrl, say, 'the API');
  let relayPort = await choosePort(config.relay.port, last?.relayUrl, say, 'the relay');
  while (relayPort === apiPort) relayPort = await freePort(); // nobody listens on that one yet
  return { apiUrl: loopback(apiPort), relayUrl: loopback(relayPort) };
}

function loopback(port: number): string {
  return `http://127.0.0.1:${String(port)}`;
}

/** The wanted port, else the one of the last start, so that addresses stay; else any free one. */
async function choosePort(
  wanted: number,
  lastUrl: string | undefined,
  say: (line: string) => void,
  what: string,
): Promise<number> {
  const candidate = await portOrAny(wanted, say, what);
  if (candidate !== 0) return candidate;
  const before = lastUrl === undefined || lastUrl === '' ? 0 : Number(new URL(lastUrl).port);
  return before !== 0 && !(await isListening(before)) ? before : freePort();
}

/** Starts again what died: the server, the front, keepers of live releases. Worker, api and relay are the children's business. */
async function watch(
  { say }: SupervisorOptions,
  temporal: TemporalEndpoint,
  targets: Targets,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const isOver = await delay(watchEveryMs, false, { signal }).catch(() => true);
    if (isOver) return;
    try {
      if (await temporal.revive()) say('the Temporal server had ended; started it again');
      await targets.restore();
    } catch (error) {
      say(`looking after the processes failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

export async function readEndpoint(dataDir: string): Promise<Endpoint | undefined> {
  const text = await readFile(path.join(dataDir, 'endpoint.json'), 'utf8').catch(() => '');
  return Endpoint.safeParse(safeJson(text)).data;
}

async function writeEndpoint(dataDir: string, endpoint: Endpoint): Promise<void> {
  const file = path.join(dataDir, 'endpoint.json');
  await writeFile(`${file}.tmp`, `${JSON.stringify(endpoint)}\n`);
  await rename(`${file}.tmp`, file);
}
