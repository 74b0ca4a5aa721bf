// I7 on a whole Loam: every kind of secret is planted, used by a run, and then looked for wherever it must not be.
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CanarySearch, watchCommandLines } from '../support/canaries.ts';
import { createLoam, createWorkingCopy, waitFor } from '../support/loam.ts';
import type { Loam, ProgramResult } from '../support/loam.ts';
import { addApplication, curl, decide, readLog, statuses, urlOf, waitForEnd, waitForGate } from '../support/runs.ts';
import type { Run } from '../support/runs.ts';
import { plan, server, tell, tokenProgram } from '../support/secretive-application.ts';

function plant(name: string): string {
  return `kanarie-${name}-${randomBytes(12).toString('hex')}`;
}

const planted = {
  trust: plant('trust'),
  application: plant('application'),
  job: `${plant('job')} "quoted"/+?&ü`,
  refused: plant('refused'),
};
/** Stands in the commit itself: those who may read the repository see it there, and nobody elsewhere. */
const literal = plant('literal');

let loam: Loam;
let search: CanarySearch;
let literals: CanarySearch;
/** What must be found, or the search of Temporal proves nothing: an input and a heartbeat, both encoded. */
const found = new CanarySearch({ input: '"application":"secretive"', heartbeat: '"trust":"delegated"' });
let commandLines: { readonly stop: () => Promise<number> };
const pushes: ProgramResult[] = [];
let good: Run;
let bad: Run;

beforeAll(async () => {
  loam = await createLoam({ LOAM_LOG_LEVEL: 'debug' });
  await loam.start();
  await registerTrust();
  const repositoryUrl = await addApplication(loam, 'secretive', { staging: { trust: 'delegated', protected: true } });
  await loam.cli(['secret', 'put', 'secretive', 'password', '--environment', 'staging'], {
    input: planted.application,
  });
  await loam.cli(['secret', 'put', 'secretive', 'api-key'], { input: planted.job });
  const made = z
    .object({ token: z.string() })
    .parse(await loam.json(['token', 'add', 'the-approver', '--role', 'approver']));
  search = new CanarySearch({
    ...planted,
    'trigger secret': z.object({ secret: z.string() }).parse(JSON.parse(dataFile('hooks/secretive.json'))).secret,
    'admin token': dataFile('tokens/admin').trim(),
    'approver token': made.token,
    key: dataFile('key').trim(),
  });
  literals = new CanarySearch({ literal });
  commandLines = watchCommandLines(search);
  const files = { 'server.mjs': server(true), 'tell.mjs': tell, 'loam.yaml': plan(literal) };
  const copy = await createWorkingCopy(loam, repositoryUrl, files);
  pushes.push(await copy.push('Tell everything'));
  await waitForGate(loam, 'secretive/1');
  await waitFor('the heartbeat of the keeper', async () => {
    await searchTemporal();
    return new Set(found.leaks.map(({ canary }) => canary)).size === 2;
  });
  await decide(loam, 'secretive/1', 'approve', 'approved', made.token);
  good = await waitForEnd(loam, 'secretive/1');
  await copy.write('server.mjs', server(false));
  pushes.push(await copy.push('Tell everything and crash'));
  await waitForGate(loam, 'secretive/2');
  await decide(loam, 'secretive/2', 'approve', 'approved', made.token);
  bad = await waitForEnd(loam, 'secretive/2');
});

afterAll(async () => {
  await commandLines.stop();
  await loam.destroy();
});

function dataFile(name: string): string {
  return readFileSync(path.join(loam.dataFolder, name), 'utf8');
}

async function registerTrust(): Promise<void> {
  const folder = await mkdtemp(path.join(loam.folder, 'provider-'));
  await writeFile(path.join(folder, 'draw.mjs'), tokenProgram);
  await writeFile(path.join(folder, 'token'), planted.trust);
  const command = [process.execPath, path.join(folder, 'draw.mjs'), folder];
  await loam.api('PUT', '/v1/trusts/delegated', { provider: 'exec', settings: { command } });
}

/** Everything that Temporal knows: lists, descriptions, histories. Answers the number of events. */
async function searchTemporal(): Promise<number> {
  const connection = await Connection.connect({ address: loam.endpoint().temporalAddress });
  const client = new Client({ connection, namespace: 'loam' });
  let events = 0;
  try {
    for await (const listed of client.workflow.list()) {
      const handle = client.workflow.getHandle(listed.workflowId, listed.runId);
      const history = await handle.fetchHistory();
      events += history.events?.length ?? 0;
      const { raw } = await handle.describe();
      for (const message of [listed.raw, listed.memo, raw, history]) {
        for (const one of [search, literals, found]) one.searchMessage(`Temporal: ${listed.workflowId}`, message);
      }
    }
  } finally {
    await connection.close();
  }
  return events;
}

function isLiteralAllowed(name: string): boolean {
  return /^(blobs|repositories|mirrors|releases|jobs)\//.test(name);
}

async function fetchText(route: string, init: RequestInit = {}): Promise<{ status: number; text: string }> {
  const stopped = new AbortController();
  const headers = new Headers(init.headers);
  if (!headers.has('authorization')) headers.set('authorization', `Bearer ${dataFile('tokens/admin').trim()}`);
  const response = await fetch(`${loam.endpoint().apiUrl}${route}`, { ...init, headers, signal: stopped.signal });
  let text = JSON.stringify(Object.fromEntries(response.headers));
  // The stream of all runs has no end: what it says at first is enough.
  const timer = setTimeout(() => stopped.abort(), 3_000);
  try {
    for await (const chunk of response.body ?? []) text += Buffer.from(chunk as Uint8Array).toString('utf8');
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
  return { status: response.status, text };
}

/** Every route that reads, as the API itself lists them. */
async function readableRoutes(): Promise<readonly string[]> {
  const { text } = await fetchText('/v1/openapi.json');
  const { paths } = z
    .object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) })
    .parse(JSON.parse(text.slice(text.indexOf('}') + 1)));
  const values: Readonly<Record<string, readonly string[]>> = {
    application: ['secretive'],
    number: ['1', '2'],
    task: ['tell', 'build', 'template', 'approve', 'staging'],
    environment: ['staging'],
    name: ['delegated', 'password', 'the-approver'],
    trigger: ['unknown'],
    delivery: deliveryIds(),
  };
  return Object.entries(paths)
    .filter(([, methods]) => 'get' in methods)
    .flatMap(([route]) => fill(route, values));
}

/** No route lists them: whoever delivered was told its id. */
function deliveryIds(): readonly string[] {
  const database = new DatabaseSync(path.join(loam.dataFolder, 'loam.db'), { readOnly: true });
  const rows = z.array(z.object({ id: z.string() })).parse(database.prepare('select id from deliveries').all());
  database.close();
  return rows.map(({ id }) => id);
}

function fill(route: string, values: Readonly<Record<string, readonly string[]>>): readonly string[] {
  const found = /\{(\w+)\}/.exec(route);
  if (found === null) return [route];
  const [whole, name = ''] = found;
  const given = values[name];
  if (given === undefined) throw new Error(`the test knows no value for ${whole} of ${route}`);
  return given.flatMap((value) => fill(route.replace(whole, value), values));
}

describe('a run that uses every kind of secret', () => {
  it('gives each of them to whom it belongs', async () => {
    expect(statuses(good)).toMatchObject({ tell: 'succeeded', build: 'succeeded', staging: 'succeeded' });
    const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
    expect((await curl(await urlOf(loam, 'secretive', 'staging'))).text).toBe(
      `${hash(planted.application)} ${hash(planted.trust)}`,
    );
    expect(bad.tasks.find(({ name }) => name === 'staging')).toMatchObject({
      status: 'failed',
      code: 'deploy-unhealthy',
    });
  });

  it('masks what its job tells, in every form and in halves', async () => {
    const log = await readLog(loam, 'secretive/1', 'tell');

    for (const word of ['plain', 'base64', 'address', 'halves'])
      expect(log).toMatch(new RegExp(`^${word} .*\\[redacted\\]`, 'm'));
    expect(log).toContain('json {"secret":"[redacted]"}');
    expect(log).toContain('done');
    expect(await readLog(loam, 'secretive/1', 'build')).toContain('[redacted]');
    const deploy = await readLog(loam, 'secretive/2', 'staging');
    expect(deploy).toContain('password [redacted]');
    expect(deploy).toContain('token [redacted]');
  });

  it('leaves none in Temporal: histories, lists, descriptions', async () => {
    const events = await searchTemporal();

    expect(events).toBeGreaterThan(60);
    expect(search.leaks).toEqual([]);
    expect(literals.leaks).toEqual([]);
  });

  it('leaves none in an answer of the API, good or bad', async () => {
    const routes = await readableRoutes();
    const answers = await Promise.all(routes.map(async (route) => ({ route, ...(await fetchText(route)) })));
    for (const { route, text } of answers) for (const one of [search, literals]) one.search(`GET ${route}`, text);

    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(20);
    expect(answers.find(({ route }) => route === '/v1/trusts/delegated')?.text).toContain('"state":"valid"');
    expect(search.leaks).toEqual([]);
    expect(literals.leaks).toEqual([]);
  });

  it('leaves none in the refusal of a request that carries one', async () => {
    const value = planted.refused;
    const secret = '/v1/applications/secretive/secrets/other';
    const json = { 'content-type': 'application/json' };
    const refusals = await Promise.all([
      fetchText('/v1/runs', { headers: { authorization: `Bearer ${value}` } }),
      fetchText(secret, { method: 'PUT', headers: json, body: JSON.stringify({ value, unknown: value }) }),
      fetchText(secret, { method: 'PUT', headers: json, body: JSON.stringify({ value, environment: `${value}!` }) }),
      fetchText(secret, { method: 'PUT', headers: json, body: JSON.stringify({ value: [value] }) }),
      fetchText(secret, { method: 'PUT', headers: json, body: `{"value": ${value}` }),
      fetchText('/v1/applications/nobody/secrets/other', {
        method: 'PUT',
        headers: json,
        body: JSON.stringify({ value }),
      }),
      fetchText('/v1/applications', {
        method: 'POST',
        headers: json,
        body: JSON.stringify({ name: 'remote', repository: `https://user:${value}@git.invalid/a.git` }),
      }),
      fetchText('/v1/triggers/unknown', { method: 'POST', headers: { 'x-hub-signature-256': value }, body: value }),
    ]);
    for (const { text } of refusals) search.search('a refusal', text);

    for (const { status } of refusals) expect(status).toBeGreaterThanOrEqual(400);
    expect(search.leaks).toEqual([]);
  });

  it('leaves none in what the commands print', async () => {
    const commands = [
      ['runs'],
      ['show', 'secretive/1'],
      ['show', 'secretive/2'],
      ['logs', 'secretive/1'],
      ['logs', 'secretive/2'],
      ['app', 'list'],
      ['env', 'list'],
      ['secret', 'list', 'secretive'],
      ['trust', 'list'],
      ['token', 'list'],
      ['releases', 'secretive'],
      ['doctor'],
    ];
    for (const command of commands) {
      const { stdout, stderr } = await loam.cli(command);
      expect(stdout).not.toBe('');
      for (const one of [search, literals]) one.search(`loam ${command.join(' ')}`, stdout + stderr);
    }
    for (const { stdout, stderr } of pushes) search.search('what the pusher sees', stdout + stderr);
    search.search('what npm start prints', loam.output());

    expect(pushes.every(({ stderr }) => stderr.includes('secretive/'))).toBe(true);
    expect(search.leaks).toEqual([]);
    expect(literals.leaks).toEqual([]);
  });

  it('leaves none in a file but where it belongs, and there for the owner only', async () => {
    const allowed = ['key', 'tokens/admin', 'hooks/secretive.json', 'relay/triggers.json'];
    search.searchFolder(loam.dataFolder, (name) => allowed.includes(name));
    literals.searchFolder(loam.dataFolder, isLiteralAllowed);

    expect(search.leaks).toEqual([]);
    expect(literals.leaks).toEqual([]);
    // Database, Temporal's database, logs, artifacts: all of it was there.
    expect(search.searchedBytes).toBeGreaterThan(1_000_000);
    expect(await readFile(path.join(loam.dataFolder, 'processes/worker.log'), 'utf8')).toContain('delegated');
    for (const name of [...allowed, 'loam.db', 'processes/worker.log', 'processes/api.log'])
      expect([name, (statSync(path.join(loam.dataFolder, name)).mode & 0o777).toString(8)]).toEqual([name, '600']);
    for (const name of ['.', 'hooks', 'tokens', 'jobs'])
      expect([name, (statSync(path.join(loam.dataFolder, name)).mode & 0o077).toString(8)]).toEqual([name, '0']);
  });

  it('shows none in a command line', async () => {
    const rounds = await commandLines.stop();

    expect(rounds).toBeGreaterThan(20);
    expect(search.leaks).toEqual([]);
  });
});
