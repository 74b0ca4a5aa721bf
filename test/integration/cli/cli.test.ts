import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { json, runLoam } from '../../support/cli.ts';
import type { Options, Result } from '../../support/cli.ts';
import { addThingy, thingy } from '../../support/doors-runs.ts';

let test: TestApi;

beforeEach(async () => {
  test = await startTestApi();
});

afterEach(async () => {
  await test.destroy();
});

function loam(line: string | readonly string[], options?: Options): Promise<Result> {
  return runLoam(test, line, options);
}

describe('loam', () => {
  it('shows its commands, each with examples', async () => {
    const help = await loam('--help');
    const commands = [...help.out.matchAll(/^ {2}([a-z]+) /gm)]
      .map((match) => match[1] ?? '')
      .filter((name) => name !== 'help');

    expect(help.code).toBe(0);
    expect(commands).toEqual(
      expect.arrayContaining([
        'runs',
        'show',
        'logs',
        'approve',
        'reject',
        'cancel',
        'retry',
        'trigger',
        'validate',
        'app',
        'env',
        'secret',
        'trust',
        'token',
        'releases',
        'queue',
      ]),
    );
    for (const command of commands) {
      const { code, out } = await loam([command, '--help']);
      expect(code, command).toBe(0);
      for (const [, sub] of /^Commands:/m.test(out) ? out.matchAll(/^ {2}([a-z]+) /gm) : []) {
        if (sub === undefined || sub === 'help') continue;
        expect((await loam([command, sub, '--help'])).out).toMatch(/--json[^]*Examples:\n {2}\$ loam/);
      }
      if (!out.includes('Commands:')) expect(out).toMatch(/--json[^]*Examples:\n {2}\$ loam/);
    }
  });

  it('ends with 2 on wrong usage', async () => {
    expect(await loam('nonsense')).toMatchObject({
      code: 2,
      err: expect.stringContaining("unknown command 'nonsense'") as string,
    });
    expect(await loam('show')).toMatchObject({
      code: 2,
      err: expect.stringContaining("missing required argument 'run'") as string,
    });
    expect(await loam('runs --nonsense')).toMatchObject({ code: 2 });
    expect(await loam('show Thingy/1')).toMatchObject({
      code: 2,
      err: expect.stringContaining('such as thingy/12') as string,
    });
    expect(await loam('app')).toMatchObject({ code: 2 });
  });

  it('ends with 3 when nobody answers, and says what to do', async () => {
    const gone = await loam('runs', { apiUrl: 'http://127.0.0.1:1' });
    const none = await loam('runs', { apiUrl: undefined, readToken: undefined });

    expect(gone).toMatchObject({ code: 3, err: expect.stringContaining('Start it with "loam up"') as string });
    expect(none).toMatchObject({ code: 3, err: expect.stringContaining('No Loam was found') as string });
  });

  it('ends with 4 and 5, also in JSON', async () => {
    expect(await loam('show thingy/9')).toMatchObject({
      code: 4,
      err: expect.stringContaining('"loam runs" shows the runs') as string,
    });
    expect(await loam('token list', { role: 'viewer' })).toMatchObject({ code: 5 });
    const { code, out, err } = await loam('show thingy/9 --json');
    expect([code, out]).toEqual([4, '']);
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'run-unknown', remedy: expect.any(String) as string } });
  });

  it('finds the Loam of the nearest data folder upwards, with its token', async () => {
    await mkdir(path.join(test.folder, '.loam/tokens'), { recursive: true });
    await mkdir(path.join(test.folder, 'deep/er'), { recursive: true });
    await writeFile(path.join(test.folder, '.loam/endpoint.json'), JSON.stringify({ apiUrl: test.server.url }));
    await writeFile(path.join(test.folder, '.loam/tokens/admin'), `${test.token('admin')}\n`);
    const folder = path.join(test.folder, 'deep/er');
    const found = { folder, dataFolder: path.join(folder, '.loam'), apiUrl: undefined, readToken: undefined };

    expect(await loam('token list', found)).toMatchObject({ code: 0 });
    // A server that somebody named is not shown the local token, and a folder that somebody named is not left.
    expect(await loam('token list', { ...found, apiUrl: test.server.url })).toMatchObject({ code: 5 });
    expect(await loam('token list', { ...found, dataFolder: path.join(folder, 'elsewhere') })).toMatchObject({
      code: 3,
    });
  });

  it('runs the commands that its process brings', async () => {
    const given: unknown[] = [];
    const down = {
      name: 'down',
      summary: 'end it',
      options: [{ flags: '--apps', description: 'all' }],
      examples: ['loam down'],
      run: (options: unknown) => Promise.resolve(given.push(options) + 6),
    };

    expect(await loam('down --apps', { local: [down] })).toMatchObject({ code: 7 });
    expect(given).toEqual([{ apps: true }]);
  });
});

describe('loam app, env, secret, trust, token', () => {
  it('has an empty state for each', async () => {
    for (const line of ['app list', 'env list', 'trust list', 'runs']) expect((await loam(line)).out).toMatch(/yet/);
    await addThingy(test.store);
    for (const line of ['secret list thingy', 'releases thingy', 'runs thingy'])
      expect((await loam(line)).out).toMatch(/yet/);
  });

  it('adds an application', async () => {
    const added = await loam('app add thingy');
    const remote = await loam('app add other --repository https://git.example/o.git --branch main --branch release/*');

    expect(added).toMatchObject({
      code: 0,
      out: expect.stringMatching(/made the repository .*thingy\.git[^]*git push .* main/) as string,
    });
    expect(remote.out).toMatch(/URL +http.*\/v1\/triggers\/[0-9a-f]+\n.*application\/json\n +secret +\S{43}\n/);
    expect((await loam('app list')).out).toMatch(/^other +main release\/\* +https:.*\nthingy +all branches +\//);
    expect(json(await loam('app show other --json'))).toMatchObject({ name: 'other', branches: ['main', 'release/*'] });
    expect(await loam('app add other')).toMatchObject({
      code: 1,
      err: expect.stringContaining('exists already') as string,
    });
    expect(json(await loam('app change other --all-branches --json'))).toMatchObject({ branches: [] });
    expect(await loam('app change other')).toMatchObject({ code: 2 });
    expect((await loam('app add near --repository sub/near.git')).out).toContain(
      path.join(test.folder, 'sub/near.git'),
    );
  });

  it('registers an environment and merges its config', async () => {
    await addThingy(test.store);

    await loam('env put thingy production --target process --protected --branch main --config A=1 --config B=x=y');
    const changed = await loam(
      'env put thingy production --config C=3 --unset A --replicas 2 --memory 256 --cpus 0.5 --json',
    );

    expect(json(changed)).toMatchObject({
      protected: true,
      branches: ['main'],
      config: { B: 'x=y', C: '3' },
      replicas: 2,
      memoryMb: 256,
      cpus: 0.5,
    });
    expect((await loam('env show thingy production')).out).toContain('protected    yes: deploys need an approval');
    expect(json(await loam('env put thingy production --no-protected --all-branches --json'))).toMatchObject({
      protected: false,
      branches: [],
      replicas: 2,
    });
    expect(json(await loam('env put thingy production --no-memory --no-cpus --json'))).toMatchObject({
      memoryMb: null,
      cpus: null,
    });
    expect((await loam('env put thingy production --config nonsense')).code).toBe(2);
    expect((await loam('env put thingy production --memory much')).code).toBe(2);
    expect((await loam('env list')).out).toMatch(
      /^thingy\/production +process +open +nothing live +http:\/\/127.0.0.1:/,
    );
  });

  it('takes a secret from standard input or a file, never from its arguments (I7)', async () => {
    await addThingy(test.store);
    await writeFile(path.join(test.folder, 'key.txt'), 'from a file\n');

    const put = await loam('secret put thingy API_KEY', { text: 'from input\n' });
    await loam('secret put thingy API_KEY --environment production --file key.txt');

    expect(put).toMatchObject({ code: 0, out: 'Stored API_KEY for all environments of thingy.\n' });
    expect((await test.store.secrets.values(thingy, undefined)).get('API_KEY')?.reveal()).toBe('from input');
    expect((await test.store.secrets.values(thingy, 'production' as never)).get('API_KEY')?.reveal()).toBe(
      'from a file',
    );
    expect((await loam('secret list thingy')).out).toMatch(/API_KEY +production/);
    expect(await loam('secret put thingy API_KEY value')).toMatchObject({ code: 2 });
    expect(await loam('secret put thingy API_KEY', { text: '\n' })).toMatchObject({ code: 2 });
    expect((await loam('secret remove thingy API_KEY')).code).toBe(0);
    expect((await loam('secret remove thingy API_KEY')).code).toBe(4);
  });

  it('tells where statuses of commits go, takes a deploy key with its known hosts, and shows neither secret (I7)', async () => {
    const key = Buffer.from('openssh-key-v1\0\0\0\0\u0004none canary of the key').toString('base64');
    const files = {
      token: 'canary-of-the-statuses\n',
      key: `-----BEGIN OPENSSH PRIVATE KEY-----\n${key}\n-----END OPENSSH PRIVATE KEY-----\n`,
      hosts: `git.example ssh-ed25519 ${'A'.repeat(68)}\n`,
    };
    for (const [name, text] of Object.entries(files)) await writeFile(path.join(test.folder, name), text);
    const add = 'app add shop --repository git@github.com:acme/shop.git';

    expect((await loam(`${add} --deploy-key key`)).code).toBe(2);
    const shown = [
      await loam(`${add} --deploy-key key --known-hosts hosts`),
      await loam('app show shop'),
      await loam('app status shop'),
      await loam('app status shop --token-file token'),
      await loam('app status shop --remove'),
      await loam('app deploy-key shop --remove'),
      await loam('app deploy-key shop --file key --known-hosts hosts'),
    ];

    expect(shown.map(({ code }) => code)).toEqual(shown.map(() => 0));
    expect(shown[1]?.out).toMatch(/^deploy key +set$/m);
    expect(shown[2]?.out).toContain('No commit statuses are told');
    expect(shown[3]?.out).toMatch(/^repository +acme\/shop$/m);
    expect(shown[4]?.out).toContain('No commit statuses are told');
    expect(shown.slice(5).map(({ out }) => out)).toEqual([
      'shop is read without a key from now on.\n',
      'shop is read with that key from now on.\n',
    ]);
    for (const { out, err } of shown) for (const secret of ['canary', key]) expect(out + err).not.toContain(secret);
    expect(await loam('app status shop --repository acme/other')).toMatchObject({ code: 2 });
    expect(await loam('app deploy-key shop')).toMatchObject({ code: 2 });
  });

  it('registers a trust with a token from a file or standard input, takes the next one, and shows neither (I7)', async () => {
    const [first, next] = ['canary-token-first', 'canary-token-next'];
    await writeFile(path.join(test.folder, 'token'), `${first}\n`);
    const expiresAt = '2130-01-31T10:00:00Z';
    const put = await loam(`trust put cloud --provider static --expires-at ${expiresAt} --token-file token --json`);
    const stored = await test.store.trusts.credential('cloud');
    const reconnected = await loam('trust reconnect cloud', { text: `${next}\n` });
    const shown = [
      put,
      reconnected,
      await loam('trust list'),
      await loam('trust list --json'),
      await loam('audit list'),
    ];

    expect(put.code).toBe(0);
    expect(json(put)).toMatchObject({ name: 'cloud', provider: 'static', settings: { expiresAt } });
    expect([stored?.reveal(), (await test.store.trusts.credential('cloud'))?.reveal()]).toEqual([first, next]);
    expect(shown.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0]);
    for (const { out, err } of shown) expect(out + err).not.toContain('canary');
    expect((await loam('trust put cloud --provider static', { text: '\n' })).code).toBe(2);
    const late = await loam('trust reconnect cloud --expires-at 2020-01-31T10:00:00Z', { text: 'x' });
    expect(late.code).toBe(1);
    expect(late.err).toMatch(/\/body\/settings\/expiresAt: has passed: .*--expires-at/);
    expect((await loam('trust put cloud --provider static', { text: 'x', role: 'approver' })).code).toBe(5);
  });

  it('registers a trust, and makes and removes tokens', async () => {
    const trust = await loam([
      'trust',
      'put',
      'demo',
      '--command',
      '/bin/draw',
      '--command',
      'a b',
      '--setting',
      'timeoutMs=60000',
      '--json',
    ]);
    const token = await loam('token add ann --role approver');

    expect(json(trust)).toMatchObject({ name: 'demo', settings: { command: ['/bin/draw', 'a b'], timeoutMs: 60_000 } });
    expect(token.out).toMatch(/^loam_\S{43}\n$/);
    expect((await loam('token list')).out).toMatch(/^ann +approver +does not expire/m);
    const roles = '--role developer:thingy --role approver:thingy/production --expires-at 2130-01-31T10:00:00Z';
    expect((await loam(`token add bob ${roles}`)).code).toBe(0);
    expect((await loam('token list')).out).toMatch(
      /^bob +developer:thingy approver:thingy\/production +2130-01-31T10:00:00.000Z$/m,
    );
    expect((await loam('token remove ann')).code).toBe(0);
    expect((await loam('token add ann')).code).toBe(2);
    expect((await loam('token add ann --role king')).code).toBe(1);
  });
});

describe('loam validate', () => {
  const plan = `version: 1
workflow:
  test: {type: repo_job, cmd: npm test}
`;

  it('needs no server', async () => {
    await writeFile(path.join(test.folder, 'loam.yaml'), plan);

    const good = await loam('validate', { apiUrl: undefined });
    const input = await loam('validate -', { apiUrl: undefined, text: plan });

    expect(good.code).toBe(0);
    expect(good.out).toMatch(/^loam.yaml: valid, 1 task/m);
    expect(input.out).toMatch(/^<stdin>: valid/m);
    expect(json(await loam('validate --json'))).toMatchObject({
      valid: true,
      errors: [],
      tasks: [{ name: 'test', type: 'repo_job' }],
    });
  });

  it('prints every problem with its place, its code and what to do', async () => {
    await writeFile(
      path.join(test.folder, 'bad.yaml'),
      'version: 1\nworkflow:\n  test: {type: nonsense}\n  build: {type: repo_job, depends_on: nobody, cmd: x}\n',
    );

    const bad = await loam('validate bad.yaml');

    expect(bad.code).toBe(1);
    expect(bad.out).toMatch(/^bad\.yaml:3:\d+: error [a-z-]+: .+\n {4}.+\n/m);
    expect(bad.out).toMatch(/^bad\.yaml:4:\d+: error [a-z-]+: /m);
    expect(await loam('validate nothing.yaml')).toMatchObject({ code: 4 });
  });
});
