import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { createProcessExecutor } from '../../src/adapters/executor/process/process-executor.ts';
import { findOnPath, findTool } from '../../src/adapters/tool/find-tool.ts';
import { bubblewrap } from '../../src/adapters/tool/pins.ts';
import { parseApplicationName, formatRunId, parseTaskName } from '../../src/core/model/ids.ts';
import type { Executor, JobSpec } from '../../src/ports/executor.ts';
import { silentLogger } from '../support/run-rows.ts';

export interface SpawnTimes {
  /** From `start` to the end that `attach` tells: shim, network and sandbox around nothing. */
  readonly jobMs: number;
  readonly removeMs: number;
}

export interface JobsAlone {
  /** One job that does nothing, with the network that jobs have when a plan says nothing. */
  once(): Promise<SpawnTimes>;
  close(): Promise<void>;
}

/** The executor without anything around it: what a job costs before it is durable. */
export async function openExecutorAlone(): Promise<JobsAlone> {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-bench-'));
  const searchPath = process.env['PATH'] ?? '';
  const cacheDir = path.join(process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'), 'loam');
  const tool = await findTool(bubblewrap, { given: process.env['LOAM_BWRAP_BIN'], searchPath, cacheDir });
  const executor = await createProcessExecutor({
    jobsFolder: path.join(folder, 'jobs'),
    bwrapPath: tool.path,
    slirp4netnsPath: await findOnPath('slirp4netns', searchPath),
    hostId: 'bench',
    toolPath: searchPath,
    logger: silentLogger,
  });
  let number = 0;
  return {
    once: () => runNothing(executor, (number += 1), 'egress'),
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

/** From the start of a job that does nothing to its removal. `number` is another one each time. */
export async function runNothing(executor: Executor, number: number, network: JobSpec['network']): Promise<SpawnTimes> {
  const run = formatRunId({ application: parseApplicationName('bench'), number, round: 1 });
  const key = { run, task: parseTaskName('nothing'), attempt: 1 };
  const limits = { timeoutMs: 60_000, outputLimitBytes: 1_048_576 };
  const job: JobSpec = {
    ...{ key, source: undefined, cmd: 'true', env: {}, secrets: {}, sockets: [], ...limits },
    ...{ network, local: true },
  };
  const startedAt = performance.now();
  await executor.start(job);
  const end = await executor.attach(key, {
    fromOffset: 0,
    signal: AbortSignal.timeout(60_000),
    onOutput: () => Promise.resolve(),
  });
  const endedAt = performance.now();
  if (end.type !== 'exited' || end.exitCode !== 0) throw new Error(`the job ended as ${JSON.stringify(end)}`);
  await executor.remove(key);
  return { jobMs: endedAt - startedAt, removeMs: performance.now() - endedAt };
}
