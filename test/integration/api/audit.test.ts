import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createSecretBox } from '../../../src/adapters/secret/secret-box.ts';
import { SqlAuditStore } from '../../../src/adapters/store/audit.ts';
import { Database } from '../../../src/adapters/store/database.ts';
import { createSqliteEngine } from '../../../src/adapters/store/sqlite-dialect.ts';
import { parseEnvironmentName } from '../../../src/core/model/ids.ts';
import type { AuditView } from '../../../src/api/routes/audit.ts';
import { Secret } from '../../../src/ports/secret.ts';
import { shaOf, startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { json, runLoam } from '../../support/cli.ts';
import { addThingy, openGate, startRun, thingy } from '../../support/doors-runs.ts';
import { waitFor } from '../../support/run-rows.ts';

let test: TestApi;

beforeEach(async () => {
  test = await startTestApi();
  await addThingy(test.store);
});

afterEach(async () => {
  await test.destroy();
});

async function entries(query = ''): Promise<readonly AuditView[]> {
  return (await test.call('GET', `/v1/audit${query}`)).body['entries'] as readonly AuditView[];
}

it('notes who changed what and how it ended, newest first, and no reading', async () => {
  await openGate(test.store, await startRun(test.store, test.blobs));
  await test.call('GET', '/v1/runs');
  await test.call('PATCH', '/v1/applications/thingy', { json: { branches: ['main'] } });
  await test.call('PATCH', '/v1/applications/thingy', { json: { branches: ['main'] }, role: 'approver' });
  await test.call('POST', '/v1/runs/thingy/1/gates/approve/decisions', {
    json: { verdict: 'approved', comment: 'looked at it' },
    role: 'approver',
  });
  await test.call('PUT', '/v1/tokens/ann', { json: { roles: ['king'] } });
  await test.call('POST', '/v1/runs/thingy/9/cancel', { role: 'developer' });

  const noted = (await entries()).map(({ token, method, path: route, details, status, code }) => {
    return [token, `${method} ${route}`, details, status, code];
  });
  const patch = 'PATCH /v1/applications/thingy';
  expect(noted).toEqual([
    ['the-developer', 'POST /v1/runs/thingy/9/cancel', {}, 404, 'run-unknown'],
    ['the-admin', 'PUT /v1/tokens/ann', {}, 422, 'input-invalid'],
    ['the-approver', 'POST /v1/runs/thingy/1/gates/approve/decisions', { verdict: 'approved' }, 201, null],
    ['the-approver', patch, {}, 403, 'forbidden'],
    ['the-admin', patch, { branches: ['main'] }, 200, null],
  ]);
  expect((await entries('?token=the-approver&limit=1')).map(({ status }) => status)).toEqual([201]);
  expect((await entries(`?before=2`)).map(({ number, address }) => [number, address])).toEqual([[1, '127.0.0.1']]);
});

it('notes a gate that the role does not reach', async () => {
  await openGate(test.store, await startRun(test.store, test.blobs));
  const grants = [{ role: 'approver', application: thingy, environment: parseEnvironmentName('staging') }] as const;
  await test.store.tokens.put({ name: 'eve', grants, expiresAtMs: undefined }, new Secret('token-of-eve-0000000'));

  const headers = { authorization: 'Bearer token-of-eve-0000000' };
  const route = '/v1/runs/thingy/1/gates/approve/decisions';
  const answer = await test.call('POST', route, { role: 'nobody', headers, json: { verdict: 'approved' } });

  expect(answer.status).toBe(403);
  expect(await test.store.gates.undelivered(10)).toEqual([]);
  expect((await entries())[0]).toMatchObject({ token: 'eve', details: { verdict: 'approved' }, code: 'forbidden' });
});

it('is written before the change: a call that Loam dies in has left its row', async () => {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const slow = await startTestApi({ ...test.git, head: () => promise.then(() => shaOf('head')) });
  try {
    await addThingy(slow.store);
    slow.git.refs.set('refs/heads/main', shaOf('head'));
    const answer = slow.call('POST', '/v1/applications/thingy/runs', { json: { ref: 'main' }, role: 'developer' });
    await waitFor('the row of the call', async () => (await slow.store.audit.list({ limit: 1 })).length === 1);

    const [before] = await slow.store.audit.list({ limit: 1 });
    resolve(undefined);
    const { status } = await answer;
    const [after] = await slow.store.audit.list({ limit: 1 });

    expect(before).toMatchObject({ token: 'the-developer', details: { ref: 'main' }, outcome: undefined });
    expect(after).toMatchObject({ outcome: { status } });
  } finally {
    await slow.destroy();
  }
});

it('lets no change happen that cannot be noted', async () => {
  const database = new DatabaseSync(path.join(test.folder, 'loam.db'));
  database.exec('drop table audit');
  database.close();

  const answer = await test.call('PUT', '/v1/applications/thingy/secrets/KEY', { json: { value: 'canary' } });

  expect(answer.status).toBeGreaterThanOrEqual(500);
  expect(await test.store.secrets.names(thingy)).toEqual([]);
});

it('holds no secret, and what is long only by name (I7, I10)', async () => {
  const key = '/v1/applications/thingy/secrets/KEY';
  await test.call('PUT', key, { json: { value: 'canary-secret', environment: 'production' } });
  await test.call('DELETE', `${key}?environment=production&value=canary-query`);
  await test.call('PUT', '/v1/trusts/demo', {
    json: { provider: 'static', settings: { expiresAt: '2130-01-01T00:00:00Z' }, credential: 'canary-credential' },
  });
  const made = await test.call('PUT', '/v1/tokens/ann', { json: { roles: ['viewer'] } });
  await test.call('POST', '/v1/applications', { json: { name: 'other', triggerSecret: 'canary-trigger-secret' } });
  await test.call('PATCH', '/v1/applications/thingy', { json: { branches: ['x'.repeat(199), 'y'.repeat(199)] } });

  const listed = await entries();

  expect(listed.map(({ details }) => details)).toEqual([
    { branches: '(too long to keep)' },
    { name: 'other' },
    { roles: ['viewer'] },
    { provider: 'static' },
    { environment: 'production' },
    { environment: 'production' },
  ]);
  expect(JSON.stringify(listed)).not.toMatch(/canary/);
  expect(JSON.stringify(listed)).not.toContain(String(made.body['token']));
});

it('keeps nothing of an input that is refused (I7, I10)', async () => {
  const key = '/v1/applications/thingy/secrets/KEY';
  await test.call('PUT', key, { json: { value: 'v', environment: 'canary in the wrong place' } });
  await test.call('PUT', key, { json: { value: 'v', environment: 'production', unknown: 'canary' } });
  await test.call('POST', '/v1/applications', {
    json: { name: 'other', repository: 'https://u:canary@git.invalid/a' },
  });

  const listed = await entries();

  expect(listed.map(({ details, code }) => [details, code])).toEqual([
    [{}, 'input-invalid'],
    [{}, 'input-invalid'],
    [{}, 'input-invalid'],
  ]);
});

it('is listed on the command line', async () => {
  const empty = await runLoam(test, 'audit list');
  await runLoam(test, 'app change thingy --branch main');
  await runLoam(test, 'app change thingy --branch main', { role: 'viewer' });
  const listed = await runLoam(test, 'audit list --token the-admin --limit 5');

  expect(empty.out).toBe('Nothing was changed yet.\n');
  expect(listed.out).toMatch(
    /^#1 +\S+ +the-admin +127\.0\.0\.1 +200 +PATCH \/v1\/applications\/thingy +\{"branches":\["main"\]\}\n$/,
  );
  expect(json(await runLoam(test, 'audit list --json'))).toMatchObject({ entries: [{ code: 'forbidden' }, {}] });
  expect((await runLoam(test, 'audit list', { role: 'approver' })).code).toBe(5);
});

it('keeps the newest entries only', async () => {
  const file = path.join(test.folder, 'small.db');
  const secretBox = createSecretBox({ key: new Uint8Array(32).fill(7) });
  const database = new Database({ engine: createSqliteEngine(file, 1_000), secretBox, now: () => 5 });
  try {
    await database.migrate();
    const audit = new SqlAuditStore(database, 3);
    const entry = { token: 'ann', address: '::1', method: 'PUT', path: '/x', details: {} };
    const numbers = await Promise.all(Array.from({ length: 5 }, () => audit.begin(entry)));
    await audit.end(5, { status: 200, code: undefined });
    await audit.end(1, { status: 200, code: undefined });

    expect(numbers.toSorted()).toEqual([1, 2, 3, 4, 5]);
    expect(await audit.list({ limit: 10 })).toEqual([
      { ...entry, number: 5, atMs: 5, outcome: { status: 200, code: undefined } },
      { ...entry, number: 4, atMs: 5, outcome: undefined },
      { ...entry, number: 3, atMs: 5, outcome: undefined },
    ]);
  } finally {
    await database.close();
  }
});
