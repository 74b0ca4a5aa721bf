import { once } from 'node:events';
import { connect } from 'node:net';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isErrorCode } from '../../../src/core/errors.ts';
import { startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { addThingy, thingy } from '../../support/doors-runs.ts';

let test: TestApi;

beforeEach(async () => {
  test = await startTestApi();
});

afterEach(async () => {
  await test.destroy();
});

describe('every route', () => {
  it('answers its problems as RFC 9457 says, with a code of the catalogue', async () => {
    const answers = await Promise.all([
      test.call('GET', '/v1/nothing'),
      test.call('GET', '/v1/runs/thingy/99'),
      test.call('GET', '/v1/runs/Thingy/0'),
      test.call('GET', '/v1/runs/thingy/%ff'),
      test.call('POST', '/v1/applications', { body: '{', headers: { 'content-type': 'application/json' } }),
      test.call('POST', '/v1/applications', { body: '{}', headers: { 'content-type': 'text/plain' } }),
      test.call('POST', '/v1/applications', {
        body: `{"name":"${'x'.repeat(300_000)}"}`,
        headers: { 'content-type': 'application/json' },
      }),
      test.call('POST', '/v1/applications', { json: { name: 'A', nonsense: 1, branches: 'main' } }),
    ]);

    for (const { status, headers, body } of answers) {
      expect(headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
      expect(body).toMatchObject({
        status,
        title: expect.any(String) as string,
        detail: expect.any(String) as string,
        instance: expect.any(String) as string,
      });
      expect(isErrorCode(String(body['code']))).toBe(true);
      expect(body['type']).toBe(`/docs/errors.md#${String(body['code'])}`);
      expect(body['requestId']).toBe(headers.get('x-request-id'));
    }
    expect(answers.map((one) => one.status)).toEqual([404, 404, 422, 422, 422, 422, 413, 422]);
    expect((answers.at(-1)?.body['errors'] as { pointer: string }[]).map((one) => one.pointer)).toEqual([
      '/body/name',
      '/body/branches',
      '/body',
    ]);
  });

  it('answers only under names that it was told', async () => {
    const ask = async (host: string): Promise<string> => {
      const socket = connect(test.server.port, '127.0.0.1');
      socket.end(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
      await once(socket, 'close');
      return text.slice(9, 12);
    };

    expect(await Promise.all(['127.0.0.1', 'localhost:1234', '[::1]:80', 'loam.example:443'].map(ask))).toEqual([
      '200',
      '200',
      '200',
      '200',
    ]);
    expect(await Promise.all(['evil.example', '127.0.0.1.evil.example', 'x@127.0.0.1'].map(ask))).toEqual([
      '403',
      '403',
      '403',
    ]);
  });
});

describe('service', () => {
  it('is healthy, ready also without Temporal, and says how it stands', async () => {
    expect((await test.call('GET', '/healthz', { role: 'nobody' })).body).toEqual({ status: 'ok' });
    expect((await test.call('GET', '/readyz', { role: 'nobody' })).body).toEqual({ status: 'ok', temporal: 'ok' });
    test.setTemporal('away');

    expect(await test.call('GET', '/readyz', { role: 'nobody' })).toMatchObject({
      status: 200,
      body: { temporal: 'unavailable' },
    });
    expect((await test.call('GET', '/v1/status', { role: 'viewer' })).body).toMatchObject({
      temporal: 'unavailable',
      temporalUiUrl: 'http://127.0.0.1:8233',
      dataFolder: test.folder,
      openRuns: 0,
      jobCapacity: 2,
      spooled: 0,
    });
  });
});

describe('applications', () => {
  it('makes a repository and installs its hook; again heals the hook', async () => {
    const added = await test.call('POST', '/v1/applications', { json: { name: 'thingy' } });

    const repository = path.join(test.folder, 'repositories/thingy.git');
    expect(added).toMatchObject({
      status: 201,
      body: { name: 'thingy', repositoryUrl: repository, local: true, repository: 'made', hookInstalled: true },
    });
    expect(added.text).not.toContain('triggerSecret');
    expect(test.git.repositories.has(repository)).toBe(true);
    const file = path.join(test.folder, 'hooks/thingy.json');
    expect(test.git.hooks.get(repository)).toContain(
      `'${process.execPath}' '${path.resolve('src/main/hook.ts')}' '${file}'`,
    );
    const settings = JSON.parse(await readFile(file, 'utf8')) as Record<string, string>;
    expect(settings).toMatchObject({ url: test.server.url, application: 'thingy', repository });
    expect(settings['secret']).toHaveLength(43);
    expect((await stat(file)).mode & 0o777).toBe(0o600);

    test.git.hooks.clear();
    expect(await test.call('POST', '/v1/applications', { json: { name: 'thingy' } })).toMatchObject({
      status: 201,
      body: { repository: 'taken' },
    });
    expect(test.git.hooks.has(repository)).toBe(true);
    expect(
      await test.call('POST', '/v1/applications', { json: { name: 'thingy', repository: '/elsewhere' } }),
    ).toMatchObject({ status: 409, body: { code: 'application-exists' } });
  });

  it('takes a repository of this machine', async () => {
    const added = await test.call('POST', '/v1/applications', {
      json: { name: 'thingy', repository: '/srv/git/thingy.git' },
    });

    expect(added.body).toMatchObject({ repository: 'taken', local: true, hookInstalled: true });
    expect(test.git.hooks.has('/srv/git/thingy.git')).toBe(true);
  });

  it('names a remote one, and shows the secret of its trigger once', async () => {
    const added = await test.call('POST', '/v1/applications', {
      json: { name: 'thingy', repository: 'https://git.example/thingy.git', branches: ['main'] },
    });

    expect(added.body).toMatchObject({
      repository: 'remote',
      local: false,
      hookInstalled: false,
      branches: ['main'],
      triggerSecret: expect.stringMatching(/^.{43}$/) as string,
    });
    expect(String(added.body['triggerUrl'])).toMatch(new RegExp(`^${test.server.url}/v1/triggers/[0-9a-f]{24}$`));
    const shown = await test.call('GET', '/v1/applications/thingy', { role: 'viewer' });
    expect(shown.text).not.toContain(String(added.body['triggerSecret']));
    expect((await test.call('GET', '/v1/applications')).body['applications']).toEqual([shown.body]);
    expect(test.git.hooks.size).toBe(0);
  });

  it.each([
    'relative/path',
    'file:///etc',
    'ext::sh -c id',
    '-u',
    'https://ann:password@git.example/x.git',
    'http://a b',
    '',
  ])('refuses the repository %j', async (repository) => {
    expect(await test.call('POST', '/v1/applications', { json: { name: 'thingy', repository } })).toMatchObject({
      status: 422,
      body: { code: 'input-invalid' },
    });
  });

  it('changes the branches', async () => {
    await addThingy(test.store);

    expect((await test.call('PATCH', '/v1/applications/thingy', { json: { branches: ['main'] } })).body).toMatchObject({
      branches: ['main'],
    });
    expect(await test.call('PATCH', '/v1/applications/nobody', { json: { branches: [] } })).toMatchObject({
      status: 404,
      body: { code: 'application-unknown' },
    });
  });
});

describe('settings', () => {
  beforeEach(async () => {
    await addThingy(test.store);
  });

  it('registers and changes an environment; what is left out stays', async () => {
    const route = '/v1/applications/thingy/environments/production';
    expect(await test.call('GET', route)).toMatchObject({ status: 404, body: { code: 'environment-unknown' } });
    expect(await test.call('PUT', route, { json: { trust: 'demo' } })).toMatchObject({
      status: 404,
      body: { code: 'trust-unknown' },
    });
    await test.call('PUT', '/v1/trusts/demo', { json: { provider: 'exec', settings: { command: ['/bin/true'] } } });

    const made = await test.call('PUT', route, {
      json: { target: 'process', protected: true, trust: 'demo', memoryMb: 64, cpus: 0.5, config: { GREETING: 'hi' } },
    });
    const changed = await test.call('PUT', route, { json: { replicas: 2, trust: null, cpus: null } });

    expect(made.body).toMatchObject({
      protected: true,
      trust: 'demo',
      memoryMb: 64,
      cpus: 0.5,
      config: { GREETING: 'hi' },
      url: `http://127.0.0.1:${String(made.body['frontPort'])}`,
    });
    expect(changed.body).toMatchObject({
      protected: true,
      trust: null,
      replicas: 2,
      cpus: null,
      config: { GREETING: 'hi' },
      frontPort: made.body['frontPort'],
    });
    expect((await test.call('GET', '/v1/environments?application=thingy')).body['environments']).toEqual([
      changed.body,
    ]);
    expect(await test.call('PUT', route, { json: { config: { 'A B': 'x' } } })).toMatchObject({ status: 422 });
  });

  it('stores no static trust without a token, or with one that has expired, and says what to do (I10)', async () => {
    const at = '/v1/trusts/cloud';
    const settings = { expiresAt: '2130-01-31T10:00:00Z' };
    const past = { expiresAt: '2020-01-31T10:00:00Z' };

    const empty = await test.call('PUT', at, { json: { provider: 'static', settings } });
    const expired = await test.call('PUT', at, { json: { provider: 'static', settings: past, credential: 'old' } });
    const stored = await test.store.trusts.get('cloud');
    const put = await test.call('PUT', at, { json: { provider: 'static', settings, credential: 'first' } });
    const repeated = await test.call('PUT', at, { json: { provider: 'static', settings } }); // its token is there
    const late = await test.call('POST', `${at}/reconnect`, { json: { settings: past, credential: 'next' } });

    expect([empty, expired, put, repeated, late].map(({ status }) => status)).toEqual([422, 422, 200, 200, 422]);
    expect(empty.body).toMatchObject({
      code: 'input-invalid',
      errors: [{ pointer: '/body/credential', message: expect.stringContaining('hand over the token') as string }],
    });
    for (const { body } of [expired, late])
      expect(body).toMatchObject({
        errors: [{ pointer: '/body/settings/expiresAt', message: expect.stringMatching(/^has passed: /) as string }],
      });
    expect(stored).toBeUndefined();
    expect((await test.store.trusts.credential('cloud'))?.reveal()).toBe('first');
  });

  it('stores no settings that the provider of a trust cannot read, and says where they are wrong (I10)', async () => {
    const at = '/v1/trusts/cloud';
    const good = { provider: 'static', settings: { expiresAt: '2130-01-31T10:00:00Z' }, credential: 'first' };
    const wrong = { settings: { expiresAt: 'tomorrow' }, credential: 'next' };

    const refused = await test.call('PUT', at, { json: { provider: 'static', ...wrong } });
    const stored = await test.store.trusts.get('cloud');
    const put = await test.call('PUT', at, { json: good });
    const reconnected = await test.call('POST', `${at}/reconnect`, { json: wrong });
    const program = { provider: 'exec', settings: { command: 'draw --now', secret: 'x' } };
    const unreadable = await test.call('PUT', '/v1/trusts/demo', { json: program });

    expect(put.status).toBe(200);
    expect(stored).toBeUndefined();
    for (const { status, body } of [refused, reconnected]) {
      expect(status).toBe(422);
      expect(body).toMatchObject({
        code: 'input-invalid',
        errors: [
          {
            pointer: '/body/settings/expiresAt',
            message: 'must be an instant with its zone, such as 2030-01-31T10:00:00Z',
          },
        ],
      });
    }
    expect((await test.store.trusts.get('cloud'))?.settings).toEqual(good.settings);
    expect((await test.store.trusts.credential('cloud'))?.reveal()).toBe('first');
    expect(unreadable.body).toMatchObject({
      errors: [{ pointer: '/body/settings/command' }, { pointer: '/body/settings' }],
    });
  });

  it('takes secrets and never gives them back (I7)', async () => {
    const route = '/v1/applications/thingy/secrets/API_KEY';
    const put = await test.call('PUT', route, { json: { value: 'canary-1', environment: 'production' } });
    await test.call('PUT', route, { json: { value: 'canary-2' } });

    const listed = await test.call('GET', '/v1/applications/thingy/secrets', { role: 'viewer' });

    expect([put.text, listed.text].join()).not.toContain('canary');
    expect((listed.body['secrets'] as { environment: unknown }[]).map((one) => one.environment)).toEqual(
      expect.arrayContaining(['production', null]),
    );
    expect((await test.store.secrets.values(thingy, undefined)).get('API_KEY')?.reveal()).toBe('canary-2');
    expect((await test.call('DELETE', `${route}?environment=production`)).body).toEqual({ removed: true });
    expect((await test.call('DELETE', `${route}?environment=production`)).status).toBe(404);
    expect(await test.call('PUT', route, { json: { value: 'a\0b' } })).toMatchObject({ status: 422 });
  });

  it('makes tokens that open what their role allows, until they are removed', async () => {
    const made = await test.call('PUT', '/v1/tokens/ann', { json: { roles: ['viewer'] } });
    const headers = { authorization: `Bearer ${String(made.body['token'])}` };

    expect((await test.call('GET', '/v1/runs', { role: 'nobody', headers })).status).toBe(200);
    expect((await test.call('GET', '/v1/tokens', { role: 'nobody', headers })).status).toBe(403);
    expect((await test.call('GET', '/v1/tokens')).text).not.toContain(String(made.body['token']));
    expect((await test.call('DELETE', '/v1/tokens/ann')).status).toBe(200);
    expect((await test.call('GET', '/v1/runs', { role: 'nobody', headers })).status).toBe(401);
    expect((await test.call('DELETE', '/v1/tokens/the-admin')).status).toBe(422);
  });

  it('makes tokens for a place and a time, and names what is wrong with one', async () => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const roles = ['developer:thingy', 'approver:thingy/production'];
    const made = await test.call('PUT', '/v1/tokens/ann', { json: { roles, expiresAt } });
    const wrong = await test.call('PUT', '/v1/tokens/bob', {
      json: { roles: ['admin', 'viewer:thingy/production'], expiresAt: '2001-01-01T00:00:00Z' },
    });

    expect(made.body).toMatchObject({ name: 'ann', roles, expiresAt });
    expect((await test.call('GET', '/v1/tokens')).body['tokens']).toContainEqual(
      expect.objectContaining({ name: 'ann', roles, expiresAt }),
    );
    expect(wrong.status).toBe(422);
    expect((wrong.body['errors'] as { pointer: string }[]).map(({ pointer }) => pointer)).toEqual([
      '/body/roles/1',
      '/body/expiresAt',
    ]);
    expect((await test.call('PUT', '/v1/tokens/bob', { json: { roles: [] } })).status).toBe(422);
  });
});
