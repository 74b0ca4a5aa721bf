import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Secret } from '../../../src/ports/secret.ts';
import { startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { json, runLoam } from '../../support/cli.ts';
import { addThingy, thingy } from '../../support/doors-runs.ts';

let test: TestApi;

beforeEach(async () => {
  test = await startTestApi();
  await addThingy(test.store);
  await test.store.secrets.put(thingy, undefined, 'KEY', new Secret('value'));
});

afterEach(async () => {
  await test.destroy();
});

async function keyLines(): Promise<readonly string[]> {
  return (await readFile(path.join(test.folder, 'key'), 'utf8')).trim().split('\n');
}

it('makes a new key in front of the old ones and seals all with it', async () => {
  const [old] = await keyLines();

  const rotated = await runLoam(test, 'key rotate');
  const again = await runLoam(test, 'key rotate --no-new-key --json');

  expect(rotated).toMatchObject({ code: 0, out: '2 sealed anew.\n' });
  expect(json(again)).toEqual({ resealed: 0 });
  const lines = await keyLines();
  expect([lines.length, lines[1]]).toEqual([2, old]);
  expect((await test.store.secrets.values(thingy, undefined)).get('KEY')?.reveal()).toBe('value');
  const entries = (await test.call('GET', '/v1/audit')).body['entries'];
  expect(entries).toMatchObject([{ details: { newKey: false } }, { details: { newKey: true }, status: 200 }]);
});

it('leaves the key alone where other hosts may have one of their own', async () => {
  await test.destroy();
  test = await startTestApi(undefined, undefined, 'shared');

  const rotated = await runLoam(test, 'key rotate');

  expect(rotated.code).toBe(1);
  expect(rotated.err).toContain('loam key rotate --no-new-key');
  expect(await keyLines()).toHaveLength(1);
  expect((await runLoam(test, 'key rotate --no-new-key')).code).toBe(0);
});
