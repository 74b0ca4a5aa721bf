// The relay can stand alone: it needs a folder, a file of triggers and the address of the API; no database and no Temporal.
import path from 'node:path';
import { identifyProcess } from '../adapters/host/process-identity.ts';
import { serveApi } from '../api/serve.ts';
import { readConfig } from '../config.ts';
import { ConfigurationError } from '../configuration-error.ts';
import { createRelay } from '../relay/create-relay.ts';
import { startForwarder } from '../relay/forwarder.ts';
import { RelaySpool } from '../relay/spool.ts';
import { createTriggers } from '../relay/triggers.ts';
import { untilAskedToEnd } from './lifetime.ts';
import { createLogger } from './logger.ts';
import { writeRecord } from './processes.ts';

const config = readConfig();
const { url } = config.client;
if (url === undefined)
  throw new ConfigurationError([{ variable: 'LOAM_URL', message: 'must name the API that a relay forwards to' }]);
const logger = createLogger('relay', config.logLevel);
const spool = await RelaySpool.open(path.join(config.dataDir, 'relay'), config.relay.spoolBytes);
await spool.removeHalves();
const findSecret = createTriggers(config.relay.triggersFile, logger);
const forwarder = startForwarder({ spool, findSecret, apiUrl: url.replace(/\/+$/, ''), logger });
const app = createRelay({
  spool,
  findSecret,
  logger,
  perSecond: config.relay.perSecond,
  wake: () => forwarder.wake(),
});
const server = await serveApi(app, config.relay.port, config.bindAddress);
const own = identifyProcess(process.pid);
if (own !== undefined) await writeRecord(config.dataDir, 'relay', own); // says to the supervisor that it is ready
logger.info({ relayUrl: server.url, apiUrl: url }, 'the relay is ready');

const reason = await untilAskedToEnd();
logger.info({ reason }, 'the relay ends');
await Promise.all([server.close(), forwarder.stop()]);
