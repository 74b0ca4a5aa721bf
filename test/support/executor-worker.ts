import { createDockerExecutor } from '../../src/adapters/executor/docker/docker-executor.ts';
import type { DockerExecutorOptions } from '../../src/adapters/executor/docker/docker-executor.ts';
import { createProcessExecutor } from '../../src/adapters/executor/process/process-executor.ts';
import type { ProcessExecutorOptions } from '../../src/adapters/executor/process/process-executor.ts';
import type { JobSpec } from '../../src/ports/executor.ts';
import { silentLogger } from './silent-logger.ts';

/**
 * A worker that tests kill: starts the job that its argument describes (or finds it), follows it, and writes what it gets. Ends with a line `end {...}`.
 */
export interface WorkerOrder {
  readonly options: Omit<ProcessExecutorOptions, 'logger'> | DockerExecutorOptions;
  readonly job: JobSpec;
  /** Also removes the job when it has ended. */
  readonly remove?: boolean;
}

const order = JSON.parse(process.argv[2] ?? '') as WorkerOrder;
const { options } = order;
const executor =
  'socketPath' in options
    ? await createDockerExecutor(options)
    : await createProcessExecutor({ ...options, logger: silentLogger });
const { created } = await executor.start(order.job);
process.stdout.write(`started ${JSON.stringify({ created, limits: executor.limits })}\n`);
const end = await executor.attach(order.job.key, {
  fromOffset: 0,
  signal: AbortSignal.timeout(60_000),
  onOutput: ({ bytes }) => Promise.resolve(void process.stdout.write(bytes)),
});
if (order.remove === true) await executor.remove(order.job.key);
process.stdout.write(`end ${JSON.stringify(end)}\n`);
