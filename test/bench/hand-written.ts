import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';

export interface HandWritten {
  readonly pid: number;
  /** Runs the chain; resolves with the milliseconds from its start to its result. */
  chain(hops: number): Promise<number>;
  close(): Promise<void>;
}

/** The hand-written workflow on the server of the Loam that is measured. */
export async function startHandWritten(address: string, namespace: string): Promise<HandWritten> {
  const child = fork(path.resolve(import.meta.dirname, 'hand-written.worker.ts'), [address, namespace]);
  const ended = once(child, 'exit');
  await Promise.race([once(child, 'message'), ended.then(() => Promise.reject(new Error('the worker ended')))]);
  const connection = await Connection.connect({ address });
  const client = new Client({ connection, namespace });
  let count = 0;
  return {
    pid: child.pid ?? 0,
    async chain(hops) {
      count += 1;
      const startedAt = performance.now();
      await client.workflow.execute('chain', { taskQueue: 'bench', workflowId: `bench/${count}`, args: [hops] });
      return performance.now() - startedAt;
    },
    async close() {
      await connection.close();
      child.disconnect();
      await ended;
    },
  };
}
