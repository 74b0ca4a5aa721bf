import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker, bundleWorkflowCode } from '@temporalio/worker';
import { createRunEngine, wireNames } from '../../src/adapters/temporal/engine.ts';
import type { RunEngine } from '../../src/ports/run-engine.ts';
import { makeNamespace } from './run-bed.ts';

export interface StandIn {
  readonly client: Client;
  readonly engine: RunEngine;
  stop(): Promise<void>;
}

/** A worker with stand-ins for the workflows, and the real engine on the real server, in a namespace of its own: files run side by side. */
export async function startStandIn(address: string): Promise<StandIn> {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const workflowsPath = fileURLToPath(new URL('./stand-in-workflows.ts', import.meta.url));
  const workflowBundle = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
  const native = await NativeConnection.connect({ address });
  const namespace = `stand-in-${randomUUID()}`;
  await makeNamespace(address, namespace);
  const { taskQueue } = wireNames;
  const worker = await Worker.create({ connection: native, namespace, taskQueue, workflowBundle });
  const running = worker.run();
  const connection = Connection.lazy({ address });
  const client = new Client({ connection, namespace });
  const engine = createRunEngine({ address, namespace, runUrl: (row) => `http://127.0.0.1/v1/runs/${row.id}` });
  return {
    client,
    engine,
    stop: async () => {
      worker.shutdown();
      await running;
      await engine.close();
      await connection.close();
      await native.close();
    },
  };
}
