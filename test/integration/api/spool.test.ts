import { randomUUID } from 'node:crypto';
import { mkdir, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { countSpooled, startSpool } from '../../../src/api/spool.ts';
import { DomainError } from '../../../src/core/errors.ts';
import { shaOf, sign, startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { addThingy, thingy } from '../../support/doors-runs.ts';
import { silentLogger, waitFor } from '../../support/run-rows.ts';

const secret = 's'.repeat(32);
let test: TestApi;

beforeEach(async () => {
  test = await startTestApi();
  await addThingy(test.store);
});

afterEach(async () => {
  await test.destroy();
});

function makeBody(change: Record<string, unknown> = {}): string {
  const push = {
    ref: 'refs/heads/main',
    before: shaOf('older'),
    after: shaOf('newer'),
    pushed_at: '2026-01-02T03:04:05Z',
  };
  return JSON.stringify({ ...push, ...change });
}

describe('spool', () => {
  async function drop(name: string, content: string): Promise<void> {
    await mkdir(path.join(test.folder, 'spool'), { recursive: true });
    // As the hook does: a file has its name once it is whole.
    await writeFile(path.join(test.folder, 'spool', `.${name}.tmp`), content);
    await rename(path.join(test.folder, 'spool', `.${name}.tmp`), path.join(test.folder, 'spool', name));
  }

  function spooled(body: string, signature = sign(secret, body)): string {
    const headers = {
      'content-type': 'application/json',
      'x-loam-delivery': randomUUID(),
      'x-hub-signature-256': signature,
    };
    return JSON.stringify({
      version: 1,
      trigger: 'trigger-thingy',
      headers,
      body: Buffer.from(body).toString('base64'),
    });
  }

  it('receives what was dropped before it began and while it runs, in order, and refuses the rest with a reason (I1)', async () => {
    const folder = path.join(test.folder, 'spool');
    await drop('1-a.json', spooled(makeBody()));
    await drop('2-b.json', spooled(makeBody({ before: shaOf('newer'), after: shaOf('newest') })));
    await drop('3-bad.json', spooled(makeBody(), sign('another', makeBody())));
    await drop('4-broken.json', '{"version":');
    await drop('5-half.json.tmp', 'not yet renamed');

    const spool = await startSpool({ folder, receive: test.api.receive, logger: silentLogger });
    await waitFor('the spool is empty', async () => (await countSpooled(folder)).waiting === 0);
    await drop('6-late.json', spooled(makeBody({ before: shaOf('newest'), after: shaOf('late') })));
    await waitFor('the late one is received', async () => (await countSpooled(folder)).waiting === 0);
    await spool.stop();

    const rows = await test.store.runs.list({ application: thingy, limit: 10 });
    expect(rows.map((row) => row.commit)).toEqual([shaOf('late'), shaOf('newest'), shaOf('newer')]);
    expect((await readdir(path.join(folder, 'refused'))).toSorted()).toEqual([
      '3-bad.json',
      '3-bad.json.reason',
      '4-broken.json',
      '4-broken.json.reason',
    ]);
    expect(await readFile(path.join(folder, 'refused/3-bad.json.reason'), 'utf8')).toMatch(/^signature-invalid: /);
    expect(await readdir(folder)).toContain('5-half.json.tmp');
  });

  it('keeps a delivery while the database is away', async () => {
    const folder = path.join(test.folder, 'spool');
    await drop('1.json', spooled(makeBody()));
    let isAway = true;
    let asked = 0;

    const spool = await startSpool({
      folder,
      logger: silentLogger,
      receive: (...delivery) => {
        asked += 1;
        return isAway ? Promise.reject(new DomainError('store-unavailable', 'away')) : test.api.receive(...delivery);
      },
    });
    await waitFor('it was asked', () => asked > 0);
    expect(await countSpooled(folder)).toEqual({ waiting: 1, refused: 0 });
    isAway = false;
    await waitFor('it is received', async () => (await countSpooled(folder)).waiting === 0);
    await spool.stop();

    expect(await test.store.runs.list({ limit: 10 })).toHaveLength(1);
  });
});
