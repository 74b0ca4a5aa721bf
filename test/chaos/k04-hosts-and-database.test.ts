// I1, I2: the topology of docker-compose.yml by processes. Two APIs, a relay and two workers, each with a data folder of its own; shared are the database, the
// blobs, the key and Temporal, as docs/deploying.md says. LOAM_TEMPORAL_ADDRESS names another Temporal server than the development server.
import { createHmac, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { tell } from '../support/faults.ts';
import { startBalancer, startHost } from '../support/hosts.ts';
import type { Balancer, Host } from '../support/hosts.ts';
import { countedLines, countingFiles, createLedger, numberedLines } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createWorkingCopy, processesOf, run, waitFor } from '../support/loam.ts';
import type { WorkingCopy } from '../support/loam.ts';
import { startPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';
import { waitForEnd } from '../support/runs.ts';
import type { ApiCaller } from '../support/runs.ts';
import { findSandboxTools } from '../support/sandbox-tools.ts';

const Hook = z.object({ trigger: z.string(), secret: z.string() });
const leaseSeconds = 15;
const zeros = '0'.repeat(40);
const token = `the-token-of-both-${randomUUID()}`;

let folder: string;
let ledger: Ledger;
let postgres: TestPostgres;
let database: string;
let balancer: Balancer;
let env: Readonly<Record<string, string>>;
let copy: WorkingCopy;
let sender: z.infer<typeof Hook>;
const hosts = new Map<string, Host>();

beforeAll(async () => {
  const { bwrapPath } = await findSandboxTools();
  folder = await mkdtemp(path.join(tmpdir(), 'loam-hosts-'));
  [ledger, postgres, balancer] = await Promise.all([createLedger(), startPostgres(), startBalancer()]);
  database = await postgres.createDatabase();
  env = {
    ...ledger.env,
    LOAM_DATABASE_URL: database,
    LOAM_TEMPORAL_ADDRESS: process.env['LOAM_TEMPORAL_ADDRESS'] ?? inject('temporalAddress'),
    LOAM_TEMPORAL_NAMESPACE: `hosts-${randomUUID()}`,
    LOAM_KEY_FILE: path.join(folder, 'key'),
    LOAM_BLOBS_DIR: path.join(folder, 'blobs'),
    LOAM_ADMIN_TOKEN: token,
    LOAM_URL: balancer.url,
    LOAM_API_PORT: '0',
    LOAM_RELAY_PORT: '0',
    LOAM_RELAY_TRIGGERS: path.join(folder, 'api-one/relay/triggers.json'),
    LOAM_FRONT_PORT_FIRST: '0',
    LOAM_HOST_LEASE_SECONDS: String(leaseSeconds),
    LOAM_JOBS_CAPACITY: '2',
    LOAM_EXECUTOR: 'process',
    LOAM_BWRAP_BIN: bwrapPath,
    LOAM_HEADS_SECONDS: '9999',
  };
  await Promise.all([
    start('api', 'api-one'),
    start('api', 'api-two'),
    start('relay', 'relay', { LOAM_BIND_ADDRESS: '127.0.0.2' }),
    start('worker', 'worker-one'),
    start('worker', 'worker-two'),
  ]);
  useDoors('api-one', 'api-two');
  await addApplication();
});

afterAll(async () => {
  await postgres.start(); // a test may have failed before it did
  await Promise.all([...hosts.values()].map((host) => host.end()));
  await Promise.all([balancer.close(), ledger.close(), postgres.close()]);
  await rm(folder, { recursive: true, force: true });
});

async function start(
  program: 'api' | 'relay' | 'worker',
  name: string,
  own: Readonly<Record<string, string>> = {},
): Promise<void> {
  hosts.set(name, await startHost(folder, [program, name], { ...env, ...own }));
}

function host(name: string): Host {
  const found = hosts.get(name);
  if (found === undefined) throw new Error(`${name} was not started`);
  return found;
}

function useDoors(...names: readonly string[]): void {
  balancer.setDoors(names.map((name) => host(name).door));
}

/** Asks one host, or whoever answers behind the balancer. */
function caller(door: () => string): ApiCaller {
  return {
    async api(method, route, body) {
      const response = await fetch(`${door()}${route}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(60_000),
      });
      const isJson = response.headers.get('content-type')?.includes('json') === true;
      return { status: response.status, body: isJson ? await response.json() : await response.text() };
    },
  };
}

const anybody = caller(() => balancer.url);
const at = (name: string): ApiCaller => caller(() => host(name).door);

/** A repository that all hosts see under one path, which tells nobody of a push: the test does. */
async function addApplication(): Promise<void> {
  const repository = path.join(folder, 'thingy.git');
  await mkdir(repository);
  await run('git', ['init', '--quiet', '--bare', '--initial-branch=main'], { cwd: repository });
  const { status, body } = await at('api-one').api('POST', '/v1/applications', { name: 'thingy', repository });
  if (status !== 201) throw new Error(`adding thingy was answered ${String(status)}: ${JSON.stringify(body)}`);
  await run('git', ['config', 'core.hooksPath', '/dev/null'], { cwd: repository });
  const settings = await readFile(path.join(host('api-one').dataFolder, 'hooks/thingy.json'), 'utf8');
  sender = Hook.parse(JSON.parse(settings));
  copy = await createWorkingCopy({ folder }, repository, countingFiles(ledger));
}

interface Delivery {
  readonly id: string;
  readonly body: string;
}

function makeDelivery(after: string, before: string): Delivery {
  const push = { repository: 'thingy', ref: 'refs/heads/main', before, after, pushed_at: new Date().toISOString() };
  return { id: randomUUID(), body: JSON.stringify({ ...push, message: 'Hi', author: 'A' }) };
}

/** As a forge does. */
async function deliver(door: string, { id, body }: Delivery): Promise<Response> {
  return fetch(`${door}/v1/triggers/${sender.trigger}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-loam-delivery': id,
      'x-hub-signature-256': `sha256=${createHmac('sha256', sender.secret).update(body).digest('hex')}`,
    },
    body,
    signal: AbortSignal.timeout(60_000),
  });
}

async function logOf(api: ApiCaller, id: string): Promise<string> {
  const { status, body } = await api.api('GET', `/v1/runs/${id}/tasks/count/log`);
  return status === 200 && typeof body === 'string' ? body : '';
}

async function hostOf(id: string): Promise<string> {
  const query = `select host from attempts where run = '${id}' and task = 'count'`;
  return z.string().parse((await postgres.query(query, database))[0]?.['host']);
}

let last = zeros;

it('takes a push over the machine that dies in the middle of its job, and over the API that dies beside it (I1, I2)', async () => {
  const first = await copy.push('One');
  const answer = await deliver(host('relay').door, makeDelivery(first.sha, last));
  const name = 'thingy/1 count';
  await ledger.waitForNote(`${name} begins`);
  // The log of a job that runs is read on every host.
  for (const api of ['api-one', 'api-two'])
    await waitFor(`some lines are seen by ${api}`, async () =>
      (await logOf(at(api), 'thingy/1')).includes('line 20\n'),
    );
  const victim = await hostOf('thingy/1');
  await Promise.all([host(victim).kill(), host('api-one').kill()]);

  const second = await copy.push('Two');
  const meanwhile = await deliver(host('relay').door, makeDelivery(second.sha, first.sha));
  ledger.open('thingy/2 count');
  const next = await waitForEnd(anybody, 'thingy/2');
  await waitFor('the other host has the job', () => ledger.count(`${name} begins`) === 2);
  const survivor = await hostOf('thingy/1');
  ledger.open(name);
  const ended = await waitForEnd(anybody, 'thingy/1');
  await Promise.all([start('api', 'api-one'), start('worker', victim)]);
  useDoors('api-one', 'api-two');
  last = second.sha;

  expect(host('relay').door).toMatch(/^http:\/\/127\.0\.0\.2:/);
  expect([answer.status, meanwhile.status]).toEqual([202, 202]);
  expect([ended.status, next.status]).toEqual(['succeeded', 'succeeded']);
  expect([victim, survivor].toSorted()).toEqual(['worker-one', 'worker-two']);
  expect(ledger.count('thingy/2 count begins')).toBe(1);
  const log = await logOf(at('api-one'), 'thingy/1'); // sealed by one host, read by another
  const [before = '', after] = log.split('loam: the sandbox of the job is gone; the job is started again\n');
  expect(before).toContain(numberedLines(20));
  expect(after).toBe(countedLines(ledger, name));
});

it('K4: the database is down at webhook time: refused with 503, kept by the relay, started later, once (I1)', async () => {
  const { sha } = await copy.push('Three');
  const delivery = makeDelivery(sha, last);
  await postgres.stop();
  tell('the database is stopped');

  const refused = await deliver(balancer.url, delivery);
  const kept = await deliver(host('relay').door, delivery);
  await postgres.start();
  tell('the database is there again');
  ledger.open('thingy/3 count');
  const ended = await waitForEnd(anybody, 'thingy/3');
  const again = await deliver(host('relay').door, delivery);

  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
  expect([kept.status, again.status]).toEqual([202, 202]);
  expect(ended.status).toBe('succeeded');
  await waitFor('the relay has handed over all', async () => {
    const ready = await fetch(`${host('relay').door}/readyz`);
    return z.object({ waiting: z.number(), dead: z.number() }).parse(await ready.json()).waiting === 0;
  });
  const { body } = await anybody.api('GET', '/v1/runs?application=thingy');
  const { runs } = z.object({ runs: z.array(z.object({ id: z.string() })) }).parse(body);
  expect(runs.map(({ id }) => id)).toEqual(['thingy/3', 'thingy/2', 'thingy/1']);
  expect(ledger.count('thingy/3 count begins')).toBe(1);
});

it('ends each process by SIGTERM, and leaves nothing behind', async () => {
  const codes = await Promise.all([...hosts.values()].map((one) => one.end()));

  expect(codes).toEqual(codes.map(() => 0));
  await waitFor('nothing is left', () => processesOf(folder).length === 0);
});
