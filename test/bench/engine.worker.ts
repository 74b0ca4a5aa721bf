// The workers beside which the whole Loam is measured, each a process of its own as Loam's is: hand-written workflows, or Loam's workflows with activities
// that do nothing.
import path from 'node:path';
import { DefaultLogger, NativeConnection, Runtime, Worker, bundleWorkflowCode } from '@temporalio/worker';
import type { WorkerOptions } from '@temporalio/worker';
import { bundleWorkflows } from '../../src/adapters/temporal/bundle.ts';
import type { CompiledGraph } from '../../src/core/graph/graph.ts';
import { planDigest } from '../support/graphs.ts';
import { shapes } from './shapes.ts';

const [kind = '', address = '', namespace = ''] = process.argv.slice(2);
const root = path.resolve(import.meta.dirname, '../..');
const logger = new DefaultLogger('WARN');
Runtime.install({ logger });

type Code = NonNullable<WorkerOptions['workflowBundle']>;

async function bundleHandWritten(): Promise<Code> {
  return bundleWorkflowCode({ workflowsPath: path.resolve(import.meta.dirname, 'engine.workflow.ts'), logger });
}

async function bundleLoam(): Promise<Code> {
  return { codePath: (await bundleWorkflows({ root, cacheDir: path.join(root, '.cache') })).path };
}

function graphOf(run: string): CompiledGraph {
  const shape = shapes.find(({ name }) => run.startsWith(`${name}-`));
  if (shape === undefined) throw new Error(`${run} has no shape`);
  return shape.graph;
}

const succeeded = (): Promise<{ status: string }> => Promise.resolve({ status: 'succeeded' });
const nothing = (): Promise<void> => Promise.resolve();
const minimal = {
  resolve: ({ run }: { readonly run: string }) =>
    Promise.resolve({ type: 'ready', planDigest, graph: graphOf(run), seeded: [], trusts: [] }),
  generate_template: succeeded,
  record: nothing,
  finish: nothing,
};

const connection = await NativeConnection.connect({ address, grpcCompression: { codec: 'none' } });
const worker = await Worker.create({
  ...{ connection, namespace, taskQueue: 'loam', maxCachedWorkflows: 300, maxConcurrentActivityTaskExecutions: 100 },
  ...(kind === 'minimal'
    ? { workflowBundle: await bundleLoam(), activities: minimal }
    : { workflowBundle: await bundleHandWritten(), activities: { step: succeeded } }),
});
const running = worker.run();
process.on('disconnect', () => {
  worker.shutdown();
});
process.send?.('ready');
await running;
await connection.close();
