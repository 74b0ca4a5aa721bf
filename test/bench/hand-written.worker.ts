// The worker beside which Loam is measured: a process of its own, as Loam's is, so that its CPU can be told.
import path from 'node:path';
import { DefaultLogger, NativeConnection, Runtime, Worker, bundleWorkflowCode } from '@temporalio/worker';

const [address = '', namespace = ''] = process.argv.slice(2);
const logger = new DefaultLogger('WARN');
Runtime.install({ logger });
const { code } = await bundleWorkflowCode({
  workflowsPath: path.resolve(import.meta.dirname, 'chain.workflow.ts'),
  logger,
});
const connection = await NativeConnection.connect({ address, grpcCompression: { codec: 'none' } });
const activities = { step: () => Promise.resolve({ status: 'succeeded' }) };
const common = { connection, namespace } as const;
const workers = await Promise.all([
  Worker.create({ ...common, taskQueue: 'bench', workflowBundle: { code } }),
  Worker.create({ ...common, taskQueue: 'bench-jobs', activities, maxConcurrentActivityTaskExecutions: 2 }),
]);
const running = Promise.all(workers.map((worker) => worker.run()));
process.on('disconnect', () => {
  for (const worker of workers) worker.shutdown();
});
process.send?.('ready');
await running;
await connection.close();
