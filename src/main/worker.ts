// One worker process: workflows and short activities, jobs, renewals of trusts, each on a task queue of its own (a keeper holds its slot for the life of a run).
import { setInterval } from 'node:timers';
import path from 'node:path';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { identifyProcess } from '../adapters/host/process-identity.ts';
import { createActivities } from '../../activities/index.ts';
import { beat, sweep } from '../../activities/sweep.ts';
import { bundleWorkflows } from '../adapters/temporal/bundle.ts';
import { readConfig } from '../config.ts';
import { isSupervised, untilAskedToEnd } from './lifetime.ts';
import { createLogger } from './logger.ts';
import { writeRecord } from './processes.ts';
import { openWorker, prepareTemporal, temporalAddress, withBubblewrap } from './wiring.ts';

const root = path.resolve(import.meta.dirname, '../..');
const sweepEveryMs = 3_600_000;
const beatsOfLease = 6;
/** Each keeper holds a slot for the life of its run. */
const keepers = 1_000;

const given = readConfig();
const logger = createLogger('worker', given.logLevel);
const config = isSupervised() ? given : await withBubblewrap(given, logger);
Runtime.install({ logger: new DefaultLogger('WARN') });

const address = temporalAddress(config);
if (!isSupervised()) await prepareTemporal(config, logger, new AbortController().signal);
const [connection, bundle, dependencies] = await Promise.all([
  NativeConnection.connect({ address, grpcCompression: { codec: 'none' } }),
  bundleWorkflows({ root, cacheDir: config.cacheDir }),
  openWorker(config, logger),
]);
const activities = createActivities(dependencies.activities);
const common = {
  connection,
  namespace: config.temporal.namespace,
  shutdownGraceTime: '10s',
  shutdownForceTime: '30s', // without it run() may never settle while an activity hangs
} as const;
/** What is long here, a job or a keeper, does not end within any grace: it is handed over at once. */
const handsOver = { ...common, shutdownGraceTime: '1s' } as const;
const workers = await Promise.all([
  Worker.create({
    ...common,
    taskQueue: 'loam',
    workflowBundle: { codePath: bundle.path },
    activities,
    maxCachedWorkflows: 300,
    stickyQueueScheduleToStartTimeout: '3s', // what a dead worker costs each workflow task
    maxConcurrentActivityTaskExecutions: 100,
  }),
  Worker.create({
    ...handsOver,
    taskQueue: 'jobs',
    activities,
    maxConcurrentActivityTaskExecutions: config.jobs.capacity,
    maxHeartbeatThrottleInterval: '2s', // a cancel is heard of with the answer to a heartbeat; by default after up to 8 s
  }),
  Worker.create({ ...handsOver, taskQueue: 'trusts', activities, maxConcurrentActivityTaskExecutions: keepers }),
]);

await beat(dependencies.activities); // before it can begin anything
await sweep(dependencies.activities);
const beating = setInterval(() => {
  beat(dependencies.activities).catch((error: unknown) => {
    logger.warn({ error: String(error) }, 'the host could not say that it lives');
  });
}, config.hostLeaseMs / beatsOfLease);
const sweeping = setInterval(() => {
  sweep(dependencies.activities).catch((error: unknown) => {
    logger.warn({ error: String(error) }, 'the sweep failed');
  });
}, sweepEveryMs);

const running = Promise.all(workers.map((worker) => worker.run()));
const own = identifyProcess(process.pid);
if (own !== undefined) await writeRecord(config.dataDir, 'worker', own); // says to the supervisor that it is ready
logger.info({ address, capacity: config.jobs.capacity, bundle: bundle.path }, 'the worker is ready');

const reason = await Promise.race([untilAskedToEnd(), running.then(() => 'the workers ended')]);
logger.info({ reason }, 'the worker drains');
clearInterval(sweeping);
clearInterval(beating);
for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
await running;
await connection.close();
await dependencies.close();
logger.info({}, 'the worker ended');
