import { Client, Connection } from '@temporalio/client';
import { forkWorker } from './fork-worker.ts';

export interface HandWritten {
  readonly pid: number;
  /** Runs the chain; resolves with the milliseconds from its start to its result. */
  chain(hops: number): Promise<number>;
  close(): Promise<void>;
}

/** The hand-written workflow on the server of the Loam that is measured. */
export async function startHandWritten(address: string, namespace: string): Promise<HandWritten> {
  const worker = await forkWorker('hand-written.worker.ts', [address, namespace]);
  const connection = await Connection.connect({ address });
  const client = new Client({ connection, namespace });
  let count = 0;
  return {
    pid: worker.pid,
    async chain(hops) {
      count += 1;
      const startedAt = performance.now();
      await client.workflow.execute('chain', { taskQueue: 'bench', workflowId: `bench/${count}`, args: [hops] });
      return performance.now() - startedAt;
    },
    async close() {
      await connection.close();
      await worker.close();
    },
  };
}
