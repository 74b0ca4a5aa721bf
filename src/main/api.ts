// The doors, and behind them the dispatcher: both see the same rows, and a door that has written one wakes the dispatcher at once.
import { createHash } from 'node:crypto';
import path from 'node:path';
import { identifyProcess } from '../adapters/host/process-identity.ts';
import { createGitHubStatus } from '../adapters/status/github-status.ts';
import { createRunEngine } from '../adapters/temporal/engine.ts';
import { createApi } from '../api/create-api.ts';
import { refuseEmptySecrets } from '../api/receive.ts';
import { serveApi } from '../api/serve.ts';
import { runUrl } from '../api/view.ts';
import type { Links } from '../api/view.ts';
import { startSpool } from '../api/spool.ts';
import { readConfig } from '../config.ts';
import { parseDigest, parseRunId } from '../core/model/ids.ts';
import { reportStatuses } from '../dispatch/commit-status.ts';
import { createDispatcher } from '../dispatch/dispatcher.ts';
import { watchHeads } from '../dispatch/missed-pushes.ts';
import { ensureAdminToken } from './admin-token.ts';
import { isSupervised, untilAskedToEnd } from './lifetime.ts';
import { createLogger } from './logger.ts';
import { writeRecord } from './processes.ts';
import { readEndpoint } from './supervisor/supervisor.ts';
import { openStores, openTrustProviders, prepareTemporal, temporalAddress } from './wiring.ts';

const root = path.resolve(import.meta.dirname, '../..');

const config = readConfig();
const logger = createLogger('api', config.logLevel);
const { store, blobs, logs, git, keyFile } = await openStores(config, logger);
await refuseEmptySecrets(store);
await ensureAdminToken(store, config.dataDir, config.api.readAdminToken?.());
const endpoint = isSupervised() ? await readEndpoint(config.dataDir) : undefined;
const engine = createRunEngine({ address: temporalAddress(config), namespace: config.temporal.namespace });
const ending = new AbortController();
/** A namespace that lacks something would refuse runs for ever. The doors are open meanwhile (I1). */
const ready = isSupervised() ? Promise.resolve() : prepareTemporal(config, logger, ending.signal);
const dispatching = ready.then(
  () => createDispatcher({ store, engine, logger }),
  () => undefined, // asked to end meanwhile
);
const wake = (): void => void dispatching.then((dispatcher) => dispatcher?.wake());
const heads = watchHeads({
  store,
  git,
  logger,
  everyMs: config.heads.everyMs,
  digest: (text) => parseDigest(`sha256:${createHash('sha256').update(text).digest('hex')}`),
  wake,
});
let ownUrl = endpoint?.apiUrl ?? '';
const links: Links = {
  publicUrl: () => config.api.publicUrl ?? ownUrl,
  relayUrl: config.relay.publicUrl,
  temporalUiUrl: endpoint?.temporalUiUrl === '' ? undefined : endpoint?.temporalUiUrl,
  namespace: config.temporal.namespace,
};
const api = createApi({
  store,
  engine,
  git,
  blobs,
  logs,
  trustProviders: openTrustProviders(config, logger),
  logger,
  links,
  ownUrl: () => ownUrl,
  wake,
  dataFolder: config.dataDir,
  hookCommand: [process.execPath, path.join(root, 'src/main/hook.ts')],
  hosts: config.api.hosts,
  // Hosts that share a database of PostgreSQL have a key file each, and must know a key before it seals.
  addKey: config.database.readUrl === undefined ? () => keyFile.addKey() : undefined,
  limits: { perSecond: config.api.perSecond, failuresPerMinute: 100 },
  errorsDocument: path.join(root, 'docs/errors.md'),
  version: '0.1.0',
  jobCapacity: config.jobs.capacity,
});
const server = await serveApi(api.app, config.api.port, config.bindAddress);
ownUrl = server.url;
await api.writeRelayTriggers();
const spool = await startSpool({ folder: path.join(config.dataDir, 'spool'), receive: api.receive, logger });
const statuses = reportStatuses({
  store,
  sender: createGitHubStatus(),
  logger,
  runUrl: ({ run }) => {
    const { application, number, round } = parseRunId(run);
    return runUrl(links, application, number, round);
  },
});
const own = identifyProcess(process.pid);
if (own !== undefined) await writeRecord(config.dataDir, 'api', own); // says to the supervisor that it is ready
logger.info({ publicUrl: links.publicUrl(), door: server.url }, 'the API is ready');

const reason = await untilAskedToEnd();
logger.info({ reason }, 'the API drains');
api.close();
ending.abort();
const stopDispatching = async (): Promise<void> => (await dispatching)?.stop();
await Promise.all([spool.stop(), heads.stop(), statuses.stop(), stopDispatching(), server.close()]);
await engine.close();
await store.close();
logger.info({}, 'the API ended');
