// The plan of 2014 as it stands, on a real engine: image, containers, what survives Loam, the way back, and what a killed engine does to a deploy (K6).
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type Docker from 'dockerode';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openEngine } from '../../src/adapters/engine/engine.ts';
import { installationOf } from '../../src/adapters/target/docker/container-spec.ts';
import { killEngine, letEngineStart, startEngine } from '../support/engine-host.ts';
import type { EngineHost, TestEngine } from '../support/engine-host.ts';
import { createLoam, createWorkingCopy, waitFor } from '../support/loam.ts';
import type { Loam, WorkingCopy } from '../support/loam.ts';
import {
  addApplication,
  curl,
  peekLog,
  readRun,
  releasesOf,
  statuses,
  trigger,
  urlOf,
  waitForEnd,
} from '../support/runs.ts';
import { sendVisitor } from '../support/visitor.ts';

const root = path.resolve(import.meta.dirname, '../..');
const patienceMs = 120_000;

let host: EngineHost;
let testEngine: TestEngine;
let engine: Docker;
let loam: Loam;
let copy: WorkingCopy;
/** Of the environment; asked for once, since it is the same without Loam. */
let url: string;

const server = (text: string, afterMs = 0) => `import http from 'node:http';
const server = http.createServer((request, response) => {
  const { custom_env, TROVE_URL, LOAM_RELEASE } = process.env;
  response.end(JSON.stringify({ text: '${text}', custom_env, TROVE_URL, release: LOAM_RELEASE }));
});
setTimeout(() => server.listen(Number(process.env.PORT)), ${afterMs});
process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
`;

beforeAll(async () => {
  ({ host, engine: testEngine } = await startEngine());
  engine = openEngine(testEngine.socketPath);
  const tools = path.join(testEngine.folder, 'tools');
  await mkdir(tools, { recursive: true });
  for (const tool of ['tox', 'solum-build-app'])
    await writeFile(path.join(tools, tool), '#!/bin/sh\necho "$0 $*"\n', { mode: 0o755 });
  loam = await createLoam({
    LOAM_DOCKER_SOCKET: testEngine.socketPath,
    PATH: `${tools}:${process.env['PATH'] ?? ''}`,
  });
  await loam.start();
  const repositoryUrl = await addApplication(loam, 'thingy', {});
  copy = await createWorkingCopy(loam, repositoryUrl, {
    'loam.yaml': await readFile(path.join(root, 'test/fixtures/plans/original.yaml'), 'utf8'),
    'server.mjs': server('one'),
    Dockerfile: `FROM ${testEngine.images.node}\nCOPY server.mjs /app/\nUSER 1000:1000\nCMD ["node", "/app/server.mjs"]\n`,
  });
}, 500_000);

afterAll(async () => {
  await loam.destroy();
  await host.stop();
}, 180_000);

function containers(): Promise<Docker.ContainerInfo[]> {
  const label = [`loam.installation=${installationOf(loam.dataFolder)}`];
  return engine.listContainers({ all: true, filters: { label } });
}

async function visit(): Promise<Record<string, unknown>> {
  const { text } = await curl(url);
  return JSON.parse(text) as Record<string, unknown>;
}

async function serves(text: string): Promise<boolean> {
  return visit().then(
    (answer) => answer['text'] === text,
    () => false,
  );
}

async function waitForHealthGate(run: string): Promise<void> {
  const isStarted = async (): Promise<boolean> => (await peekLog(loam, run, 'deploy')).includes('is started');
  await waitFor('the new release waits for health', isStarted, patienceMs);
}

it('runs the plan of 2014 once its place is registered and its services are bound', { timeout: 400_000 }, async () => {
  await copy.push('First');
  const unregistered = await waitForEnd(loam, 'thingy/1', patienceMs);
  const put = await loam.cli(['env', 'put', 'thingy', 'production', '--target', 'docker']);
  const unbound = await waitForEnd(loam, await trigger(loam, 'thingy'), patienceMs);
  await loam.cli([
    ...['env', 'put', 'thingy', 'production'],
    ...['--config', 'TROVE_URL=mysql://trove', '--config', 'REMOTE_LOGGING_URL=syslog://logs'],
  ]);
  url = await urlOf(loam, 'thingy', 'production');
  const id = await trigger(loam, 'thingy');
  const ended = await waitForEnd(loam, id, patienceMs);

  expect(unregistered).toMatchObject({ status: 'failed', code: 'environment-unregistered' });
  expect(put.code, put.stderr).toBe(0);
  expect(unbound.tasks.find(({ name }) => name === 'deploy')).toMatchObject({
    status: 'failed',
    code: 'deploy-refused',
    reason: expect.stringContaining('--config TROVE_URL=... --config REMOTE_LOGGING_URL=...') as string,
  });
  expect(statuses(ended), JSON.stringify(ended.tasks)).toEqual({
    check: 'succeeded',
    gen_template: 'succeeded',
    build: 'succeeded',
    deploy: 'succeeded',
  });
  expect(await visit()).toMatchObject({ text: 'one', custom_env: 'foo', TROVE_URL: 'mysql://trove' });
});

it('lets its containers live on without Loam, ends them with `down --apps`, and takes them up again', async () => {
  const before = await containers();
  await loam.interrupt();
  const alone = await visit();
  await loam.cli(['down']);
  const afterDown = await visit();
  const down = await loam.cli(['down', '--apps']);
  const stopped = await containers();
  await loam.start();
  await waitFor('it serves again', () => serves('one'), patienceMs);

  expect([alone['text'], afterDown['text']]).toEqual(['one', 'one']);
  expect(down.code, down.stderr).toBe(0);
  expect(before.map(({ State }) => State)).toEqual(['running']);
  expect(stopped.map(({ State, Id }) => [State, Id])).toEqual([['exited', before[0]?.Id]]);
  expect((await containers()).map(({ State, Id }) => [State, Id])).toEqual([['running', before[0]?.Id]]);
}, 400_000);

it('goes back to the image of the release before, without a failed request', { timeout: 400_000 }, async () => {
  const [first] = await containers();
  await copy.write('server.mjs', server('two'));
  await copy.push('Second');
  await waitFor('the second version serves', () => serves('two'), patienceMs);
  const [second] = await containers();
  const visitor = sendVisitor(url);

  const back = await loam.cli(['rollback', 'thingy', 'production', '--wait']);
  await waitFor('the visitor has seen the first version', () => visitor.answers().length > 1, patienceMs);
  await visitor.leave();

  expect(back).toMatchObject({ code: 0, stderr: '' });
  const seen = visitor
    .answers()
    .map((answer) => /^200 \{"text":"(\w+)".*"release":"(\d+)"\}$/.exec(answer)?.slice(1) ?? answer);
  expect(seen).toEqual([
    ['two', '2'],
    ['one', '3'],
  ]);
  const [live, ...others] = await releasesOf(loam, 'thingy');
  expect([live, ...others].map((one) => [one?.number, one?.status])).toEqual([
    [3, 'live'],
    [2, 'superseded'],
    [1, 'superseded'],
  ]);
  expect(live?.commit).toBe(others.at(-1)?.commit);
  expect((await containers()).map(({ ImageID, Labels }) => [ImageID, Labels['loam.release']])).toEqual([
    [first?.ImageID, '3'],
  ]);
  expect(second?.ImageID).not.toBe(first?.ImageID);
});

it(
  'tells the truth when the engine is killed in mid-deploy, and the old version is back with it (K6, I6)',
  { timeout: 400_000 },
  async () => {
    await copy.write('server.mjs', `setTimeout(() => process.exit(1), 2000);\n`); // never healthy
    const pushing = copy.push('Never listens');
    const id = 'thingy/6';
    await waitForHealthGate(id);

    await killEngine(testEngine.folder);
    const during = await readRun(loam, id);
    await letEngineStart(testEngine.folder);
    const ended = await waitForEnd(loam, id, patienceMs);

    await pushing;
    expect(during.status).toBe('running');
    expect(ended.status).toBe('failed');
    expect(ended.tasks.find(({ name }) => name === 'deploy')?.reason).toMatch(/release \d+ still serves in production/);
    await waitFor('the old version serves', () => serves('one'), patienceMs);
  },
);

it(
  'ends a deploy well though the engine is killed in its middle, and leaves no container over (K6, I2, I6)',
  { timeout: 400_000 },
  async () => {
    await copy.write('server.mjs', server('three', 3000));
    const pushing = copy.push('Listens late');
    const id = 'thingy/7';
    await waitForHealthGate(id);

    await killEngine(testEngine.folder);
    await letEngineStart(testEngine.folder);
    const ended = await waitForEnd(loam, id, patienceMs);

    await pushing;
    expect(ended.status).toBe('succeeded');
    await waitFor('the new version serves', () => serves('three'), patienceMs);
    const [live, ...others] = await releasesOf(loam, 'thingy');
    expect([live?.status, live?.commit]).toEqual(['live', ended.commit]);
    expect(others.filter(({ status }) => status === 'live')).toEqual([]);
    expect((await containers()).map(({ State, Labels }) => [State, Labels['loam.release']])).toEqual([
      ['running', String(live?.number)],
    ]);
  },
);

it('keeps containers within memory and cores of their environment, and says when memory was the cause', async () => {
  const limits = async (): Promise<readonly unknown[]> => {
    const [one] = await containers();
    const { HostConfig } = await engine.getContainer(one?.Id ?? '').inspect();
    return [HostConfig.Memory, HostConfig.MemorySwap, HostConfig.NanoCpus];
  };
  await loam.cli(['env', 'put', 'thingy', 'production', '--memory', '128', '--cpus', '0.5']);
  await copy.write('server.mjs', `const kept = Buffer.alloc(512 * 1024 ** 2, 1);\n${server('greedy')}`);
  await copy.push('Greedy');
  const greedy = await waitForEnd(loam, 'thingy/8', patienceMs);
  const still = await visit();
  await loam.cli(['rollback', 'thingy', 'production', '2', '--wait']);
  const limited = await limits();
  await loam.cli(['env', 'put', 'thingy', 'production', '--no-memory', '--no-cpus']);
  await loam.cli(['rollback', 'thingy', 'production', '1', '--wait']);
  const free = await limits();

  expect(greedy.tasks.find(({ name }) => name === 'deploy')).toMatchObject({
    status: 'failed',
    code: 'deploy-unhealthy',
    reason: expect.stringContaining('(out of memory: it may use 128 MiB)') as string,
  });
  expect(still['text']).toBe('three');
  expect(limited).toEqual([128 * 1024 ** 2, 128 * 1024 ** 2, 5e8]);
  expect(free).toEqual([0, 0, 0]);
}, 400_000);
