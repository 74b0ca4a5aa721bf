// K1 and K6 for jobs in containers: each process of Loam is killed in mid-job, then the engine. The engine's own record of what it started is the ledger.
import { once } from 'node:events';
import type Docker from 'dockerode';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openEngine } from '../../src/adapters/engine/engine.ts';
import { killEngine, letEngineStart, startEngine } from '../support/engine-host.ts';
import type { EngineHost, TestEngine } from '../support/engine-host.ts';
import { tell } from '../support/faults.ts';
import { numberedLines, withoutHead } from '../support/ledger.ts';
import { createLoam, createWorkingCopy, waitFor } from '../support/loam.ts';
import type { Loam, WorkingCopy } from '../support/loam.ts';
import { addApplication, peekLog, readLog, readRun, waitForEnd } from '../support/runs.ts';
import { kill, killAll, waitForAnother } from '../support/victims.ts';
import type { Victim } from '../support/victims.ts';

/** Counts until somebody opens its door, which is a file in its own container. */
const counting = `version: 1
workflow:
  count: {type: repo_job, network: none, cmd: 'n=0; until [ -e /tmp/door ]; do n=$((n+1)); echo line $n; sleep 0.02; done; echo ends at $n'}
  after: {type: repo_job, network: none, depends_on: count, cmd: echo done}
`;

let host: EngineHost;
let testEngine: TestEngine;
let engine: Docker;
let loam: Loam;
let copy: WorkingCopy;
/** Their hooks follow the runs. */
const pushes: Promise<unknown>[] = [];

beforeAll(async () => {
  ({ host, engine: testEngine } = await startEngine());
  engine = openEngine(testEngine.socketPath);
  loam = await createLoam({
    LOAM_EXECUTOR: 'docker',
    LOAM_DOCKER_SOCKET: testEngine.socketPath,
    LOAM_DOCKER_IMAGE: testEngine.images.busybox,
  });
  await loam.start();
  copy = await createWorkingCopy(loam, await addApplication(loam, 'counting'), { 'loam.yaml': counting });
}, 500_000);

afterAll(async () => {
  await loam.destroy();
  await Promise.all(pushes);
  await host.stop();
});

/** How often a container began for this task, as the engine wrote it down. */
async function starts(run: string, task: string): Promise<number> {
  const stream = await engine.getEvents({
    since: 0,
    until: Math.ceil(Date.now() / 1000),
    filters: { type: ['container'], event: ['start'], label: [`loam.run=${run}`, `loam.task=${task}`] },
  });
  let text = '';
  stream.on('data', (bytes: Buffer) => (text += bytes.toString()));
  await once(stream, 'end');
  return text.split('\n').filter((line) => line !== '').length;
}

async function containersOf(run: string): Promise<readonly Docker.ContainerInfo[]> {
  return engine.listContainers({ all: true, filters: { label: [`loam.run=${run}`] } });
}

async function openDoor(run: string): Promise<void> {
  const [container, ...others] = await containersOf(run);
  if (container === undefined || others.length > 0) throw new Error(`${run} has not one container`);
  const exec = await engine.getContainer(container.Id).exec({ Cmd: ['touch', '/tmp/door'] });
  await exec.start({ Detach: true });
}

/** Returns the run, whose job has stored some lines. */
async function count(message: string): Promise<string> {
  const run = `counting/${String(pushes.push(copy.push(message)))}`;
  await waitFor('some lines are stored', async () => (await peekLog(loam, run, 'count')).includes('line 20\n'));
  return run;
}

async function waitForMore(run: string): Promise<void> {
  const stored = (await peekLog(loam, run, 'count')).length;
  await waitFor('the log goes on', async () => (await peekLog(loam, run, 'count')).length > stored);
}

/** What the job wrote, and how many lines it says it wrote. */
function whole(log: string): string {
  const last = Number(/ends at (\d+)\n$/.exec(log)?.[1] ?? Number.NaN);
  return `${numberedLines(last)}ends at ${String(last)}\n`;
}

async function expectOnce(run: string): Promise<void> {
  const ended = await waitForEnd(loam, run);
  expect(ended.status, ended.reason ?? '').toBe('succeeded');
  expect(ended.tasks).toMatchObject([
    { name: 'count', attempt: 1, status: 'succeeded' },
    { name: 'after', attempt: 1, status: 'succeeded' },
  ]);
  const log = withoutHead(await readLog(loam, run, 'count'));
  expect(log).toBe(whole(log));
  expect([await starts(run, 'count'), await starts(run, 'after')]).toEqual([1, 1]);
}

/** The worker, which is the engine's only client, dies in `k01-away-in-a-job`. */
const victims: readonly Victim[] = ['api', 'relay', 'up'];

it.each(victims)(
  'K1: kill -9 of %s in mid-job: its container runs once, its log is whole, the run succeeds (I2)',
  async (victim) => {
    const run = await count(`Kill ${victim}`);

    const killed = await kill(loam, victim, '');
    if (victim === 'up') await loam.start();
    await waitForAnother(loam, victim, '', killed);
    await waitForMore(run);
    await openDoor(run);

    await expectOnce(run);
  },
);

it('K1: kill -9 of everything, the job ends meanwhile: it is not run again (I2)', async () => {
  const run = await count('Kill everything');

  await killAll(loam);
  await openDoor(run);
  await waitFor('the container has ended', async () => (await containersOf(run))[0]?.State === 'exited');
  await loam.start();

  await expectOnce(run);
});

it('K6: kill -9 of the engine in mid-job: the job is started again when the engine is back, nothing is left over', async () => {
  const run = await count('Kill the engine');
  const before = await peekLog(loam, run, 'count');

  await killEngine(testEngine.folder);
  tell('kill -9 the Docker engine');
  const during = await readRun(loam, run);
  await letEngineStart(testEngine.folder);
  await waitFor('it counts from one again', async () =>
    /line 20\n[^]*line 20\n/.test(await peekLog(loam, run, 'count')),
  );
  await openDoor(run);
  const ended = await waitForEnd(loam, run);

  expect(during.status).toBe('running');
  expect(ended.status, ended.reason ?? '').toBe('succeeded');
  const log = await readLog(loam, run, 'count');
  expect(log.startsWith(before)).toBe(true);
  const second = log.slice(log.lastIndexOf('line 1\n'));
  expect(second).toBe(whole(second));
  expect(await engine.listContainers({ all: true, filters: { label: ['loam.run'] } })).toEqual([]);
});
