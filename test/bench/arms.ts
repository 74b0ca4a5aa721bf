// Four ways to run one graph on one Temporal server: workflows written by hand, the same without the SDK's call stacks (as Loam's worker runs, ADR 0017), Loam's
// workflows around activities that do nothing, and the whole of Loam.
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { prepareNamespace } from '../../src/adapters/temporal/namespace.ts';
import { formatRunId, parseApplicationName, runWorkflowId } from '../../src/core/model/ids.ts';
import type { Loam } from '../support/loam.ts';
import { createApplication } from './application.ts';
import { forkWorker } from './fork-worker.ts';
import { awaitEnd, pidOf } from './observe.ts';
import type { Shape } from './shapes.ts';

type WorkerArm = 'hand-written' | 'hand-written, no call stacks' | 'Loam minimal';

export interface Arm {
  readonly name: WorkerArm | 'Loam whole';
  readonly workerPid: number;
  /** Starts so many runs of the shape together; resolves with their workflow ids when all have succeeded. */
  run(shape: Shape, count: number): Promise<readonly string[]>;
  /** Events and bytes of a history. */
  measure(workflowId: string): Promise<{ readonly events: number; readonly bytes: number }>;
  close(): Promise<void>;
}

const stacksOff = path.resolve(import.meta.dirname, '../../src/adapters/temporal/promise-stacks-off.ts');

/** Twenty fans of 200 at once are 4,000 tasks, each with rows of its own on disk. */
const wholeDeadlineMs = 600_000;

export async function openArms(loam: Loam): Promise<readonly Arm[]> {
  return [
    await openWorker(loam, 'hand-written'),
    await openWorker(loam, 'hand-written, no call stacks'),
    await openWorker(loam, 'Loam minimal'),
    await openWhole(loam),
  ];
}

/** A worker process of its own, in a namespace of its own: the queues have the same names. */
async function openWorker(loam: Loam, name: WorkerArm): Promise<Arm> {
  const kind = name === 'Loam minimal' ? 'minimal' : 'hand-written';
  const address = loam.endpoint().temporalAddress;
  const namespace = `bench-${name.replaceAll(/\W+/g, '-')}`.toLowerCase();
  await prepareNamespace(address, namespace, { deadlineMs: 30_000 });
  const worker = await forkWorker(
    'engine.worker.ts',
    [kind, address, namespace],
    name === 'hand-written' ? [] : ['--import', stacksOff],
  );
  const connection = await Connection.connect({ address });
  const client = new Client({ connection, namespace });
  let number = 0;

  async function runOne(shape: Shape): Promise<string> {
    number += 1;
    const application = parseApplicationName(`${shape.name}-${kind}`);
    const run = formatRunId({ application, number, round: 1 });
    const workflowId = runWorkflowId(run);
    const options = { taskQueue: 'loam', workflowId };
    await (kind === 'minimal'
      ? client.workflow.execute('run', { ...options, args: [{ run, application }] })
      : client.workflow.execute(shape.name, { ...options, args: [shape.tasks] }));
    return workflowId;
  }

  return {
    name,
    workerPid: worker.pid,
    run: (shape, count) => Promise.all(Array.from({ length: count }, () => runOne(shape))),
    measure: (workflowId) => measureHistory(client, workflowId),
    async close() {
      await connection.close();
      await worker.close();
    },
  };
}

async function openWhole(loam: Loam): Promise<Arm> {
  const application = await createApplication(loam, 'engine');
  const connection = await Connection.connect({ address: loam.endpoint().temporalAddress });
  const client = new Client({ connection, namespace: 'loam' });
  return {
    name: 'Loam whole',
    workerPid: pidOf(loam, 'worker'),
    async run(shape, count) {
      const commits = await application.commits(shape.plan, count);
      const deliveries = await Promise.all(commits.map((sha) => application.deliver(sha)));
      await Promise.all(deliveries.map(({ run }) => awaitEnd(loam, run, 'succeeded', wholeDeadlineMs)));
      return deliveries.map(({ run }) => `run/${run}`);
    },
    measure: (workflowId) => measureHistory(client, workflowId),
    close: () => connection.close(),
  };
}

async function measureHistory(
  client: Client,
  workflowId: string,
): Promise<{ readonly events: number; readonly bytes: number }> {
  const { historyLength, historySize = 0 } = await client.workflow.getHandle(workflowId).describe();
  return { events: historyLength, bytes: historySize };
}
