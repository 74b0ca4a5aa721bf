import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Secret } from '../../../src/ports/secret.ts';
import { startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { addThingy, thingy } from '../../support/doors-runs.ts';

const token = 'glpat-canary-of-the-repository';
const path = '/v1/applications/thingy/repository-token';

let test: TestApi;

beforeEach(async () => {
  test = await startTestApi();
});

afterEach(async () => {
  await test.destroy();
});

async function addRemote(): Promise<void> {
  const json = { name: 'thingy', repository: 'https://git.example/thingy.git' };
  expect((await test.call('POST', '/v1/applications', { json })).status).toBe(201);
}

it('takes a token, which only git gets, and takes it away (I7)', async () => {
  await addRemote();

  const set = await test.call('PUT', path, { json: { token } });
  const source = await test.store.applications.source(thingy);
  const shown = await test.call('GET', '/v1/applications');
  const taken = await test.call('PUT', path, { json: { token: null } });

  expect(source.token?.reveal()).toBe(token);
  expect([set.body['hasToken'], taken.body['hasToken']]).toEqual([true, false]);
  for (const { text } of [set, shown, taken]) expect(text).not.toContain(token);
  expect((await test.store.applications.source(thingy)).token).toBeUndefined();
});

it('refuses a token that would go over the network in clear, or that is none', async () => {
  await addRemote();
  for (const wrong of ['', 'two words', 'a\r\nheader: b', 'x'.repeat(1_001)])
    expect((await test.call('PUT', path, { json: { token: wrong } })).body).toMatchObject({ code: 'input-invalid' });
  expect((await test.call('PUT', path, { json: { token }, role: 'developer' })).status).toBe(403);
  expect((await test.call('PUT', path.replace('thingy', 'nobody'), { json: { token } })).status).toBe(404);
});

it('refuses a token for a repository of this machine', async () => {
  await addThingy(test.store);

  const answer = await test.call('PUT', path, { json: { token } });

  expect(answer.body).toMatchObject({ status: 422, code: 'input-invalid' });
  expect(answer.text).not.toContain(token);
});

it('keeps the token sealed in the row', async () => {
  await addRemote();
  await test.store.applications.setToken(thingy, new Secret(token));

  const files = ['loam.db', 'loam.db-wal'].map((name) =>
    readFile(`${test.folder}/${name}`).catch(() => Buffer.alloc(0)),
  );
  const bytes = Buffer.concat(await Promise.all(files));

  expect(bytes.length).toBeGreaterThan(1_000);
  expect(bytes.includes(token)).toBe(false);
});
