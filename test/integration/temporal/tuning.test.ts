import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import type { temporal } from '@temporalio/proto';
import { DefaultLogger, NativeConnection, Runtime, Worker, bundleWorkflowCode } from '@temporalio/worker';
import { expect, inject, it } from 'vitest';
import { startDevServer } from '../../../src/adapters/temporal/server.ts';

type History = temporal.api.history.v1.IHistory;

const hops = 20;
const chains = 4;
const clockMs = 80;
const logger = new DefaultLogger('WARN');
Runtime.install({ logger });

/** Milliseconds from the end of one activity to the end of the next, by the server's clock. */
function between({ events }: History): readonly number[] {
  const ends = (events ?? []).flatMap(({ activityTaskCompletedEventAttributes: end, eventTime }) =>
    end == null ? [] : Number(eventTime?.seconds ?? 0) * 1e3 + (eventTime?.nanos ?? 0) / 1e6,
  );
  return ends.slice(1).map((end, index) => end - (ends[index] ?? 0));
}

/**
 * Median milliseconds of a hop in each of many chains of activities that do nothing, on a server of its own, from the quickest on. Without its flags the server
 * lets most hops wait for a clock of 100 ms, whatever else the machine does; with them only a machine that is busy all the time makes them as long.
 */
async function measureHops(code: string, withoutTuning: boolean): Promise<readonly number[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-tuning-'));
  const server = await startDevServer({
    program: inject('temporalProgram'),
    folder,
    namespace: 'loam',
    port: 0,
    uiPort: 0,
    forTests: true,
    withoutTuning,
  });
  const connection = await Connection.connect({ address: server.address });
  const native = await NativeConnection.connect({ address: server.address });
  try {
    const client = new Client({ connection, namespace: 'loam' });
    const worker = await Worker.create({
      connection: native,
      namespace: 'loam',
      taskQueue: 'hops',
      workflowBundle: { code },
      activities: { hop: () => Promise.resolve() },
    });
    return await worker.runUntil(async () => {
      const medians: number[] = [];
      for (let chain = 0; chain < chains; chain += 1) {
        const workflowId = `chain-${chain}`;
        await client.workflow.execute('chain', { taskQueue: 'hops', workflowId, args: [hops] });
        const hopsMs = between(await client.workflow.getHandle(workflowId).fetchHistory());
        medians.push([...hopsMs].sort((a, b) => a - b)[Math.floor(hopsMs.length / 2)] ?? Number.NaN);
      }
      return medians.sort((a, b) => a - b);
    });
  } finally {
    await native.close();
    await connection.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

it('the start flags have their effect: a hop of a chain costs a fraction of what it costs without them', async () => {
  const { code } = await bundleWorkflowCode({
    workflowsPath: path.resolve(import.meta.dirname, 'chain.workflow.ts'),
    logger,
  });

  const [tuned, untuned] = [await measureHops(code, false), await measureHops(code, true)];

  // 12 ms against 101 ms on an idle machine; the server takes a misspelt flag in silence.
  const told = JSON.stringify({ tuned, untuned });
  expect(tuned[0], told).toBeLessThan(clockMs);
  expect(untuned[chains / 2], told).toBeGreaterThan(clockMs);
});
