// I2: one attempt, two hosts: who may go on with it, and what the other one does not do any more.
import { ActivityCancellationDetails } from '@temporalio/common';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { TaskInput } from '../../../activities/types.ts';
import type { RepoJobTask } from '../../../src/core/graph/graph.ts';
import type { AttemptKey } from '../../../src/ports/task-store.ts';
import {
  call,
  findTask,
  makeActivityRoom,
  makeEnvironment,
  push,
  readLog,
  resolveRun,
  waitFor,
} from '../../support/activity-room.ts';
import type { ActivityRoom } from '../../support/activity-room.ts';
import { FakeExecutor } from '../../support/fake-executor.ts';

const plan = 'version: 1\nworkflow:\n  test: {type: repo_job, cmd: npm test}\n';
const startedAgain = 'loam: the sandbox of the job is gone; the job is started again\n';

let room: ActivityRoom;
let test: TaskInput<RepoJobTask>;
let key: AttemptKey;
let second: Pick<ActivityRoom, 'dependencies'> & { readonly executor: FakeExecutor };

beforeEach(async () => {
  room = await makeActivityRoom();
  const run = await push(room, plan);
  const ready = await resolveRun(room, run);
  test = { run, planDigest: ready.planDigest, task: findTask(ready, 'test', 'repo_job'), attempt: 1 };
  key = { run, task: test.task.name, attempt: 1 };
  const executor = new FakeExecutor();
  second = { executor, dependencies: { ...room.dependencies, executor, hostId: 'host-2', logs: room.openLogs() } };
});

afterEach(() => room.close());

/** A job on the first host with a line in the log. */
async function begin(environment = makeEnvironment()): Promise<readonly [Promise<unknown>]> {
  const job = call(room, 'repo_job', test, environment);
  await waitFor('the job runs', () => room.executor.jobs.size === 1);
  room.executor.write(key, 'one\n');
  await waitFor('the output is stored', async () => (await readLog(room, key)) === 'one\n');
  return [job];
}

it('is not taken from a host that is heard of, and soon offered again', async () => {
  await room.store.hosts.beat('host-1');
  const environment = makeEnvironment();
  const [job] = await begin(environment);
  environment.cancel('WORKER_SHUTDOWN', new ActivityCancellationDetails({ workerShutdown: true }));
  await expect(job).rejects.toMatchObject({ type: 'host-lost' });

  const early = call(second, 'repo_job', test);

  await expect(early).rejects.toMatchObject({ type: 'attempt-held', nonRetryable: false, nextRetryDelay: '2s' });
  expect(second.executor.startCalls).toBe(0);
  room.executor.end(key, { type: 'exited', exitCode: 0 });
  expect(await call(room, 'repo_job', test)).toMatchObject({ status: 'succeeded' });
});

it.each(['loses its sandbox', 'sees its job end'])(
  'a host that %s after another one has taken the attempt over starts nothing and ends nothing (I2)',
  async (what) => {
    const [stale] = await begin();
    const job = call(second, 'repo_job', test);
    await waitFor('the job runs on the second host', () => second.executor.jobs.size === 1);

    if (what === 'sees its job end') room.executor.end(key, { type: 'exited', exitCode: 0 });
    else await room.executor.remove(key);
    await expect(stale).rejects.toMatchObject({ type: 'host-lost', nonRetryable: false });
    second.executor.write(key, 'ONE\n');
    second.executor.end(key, { type: 'exited', exitCode: 3 });

    expect(await job).toMatchObject({ status: 'failed', exitCode: 3 });
    expect(await readLog(room, key)).toBe(`one\n${startedAgain}ONE\n`);
    expect([room.executor.startCalls, second.executor.startCalls]).toEqual([1, 1]);
  },
);

it('a host that gets an attempt back does not attach to what it has left of it', async () => {
  const environment = makeEnvironment();
  const [job] = await begin(environment);
  environment.cancel('WORKER_SHUTDOWN', new ActivityCancellationDetails({ workerShutdown: true }));
  await expect(job).rejects.toMatchObject({ type: 'host-lost' });
  await room.store.tasks.begin(key, 'host-2');
  room.executor.onStart = (again) => void (again.end = { type: 'exited', exitCode: 0 });

  expect(await call(room, 'repo_job', test)).toMatchObject({ status: 'succeeded' });

  expect(room.executor.startCalls).toBe(2);
  expect(await readLog(room, key)).toBe(`one\n${startedAgain}`);
});
