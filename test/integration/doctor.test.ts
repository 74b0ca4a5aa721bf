import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { identifyProcess } from '../../src/adapters/host/process-identity.ts';
import { readConfig } from '../../src/config.ts';
import type { Config } from '../../src/config.ts';
import type { Check } from '../../src/main/doctor/check.ts';
import { checkDataFolder, checkDatabase, checkKey } from '../../src/main/doctor/data-folder.ts';
import { examine } from '../../src/main/doctor/examine.ts';
import { checkGit } from '../../src/main/doctor/machine.ts';
import { checkRunning } from '../../src/main/doctor/running.ts';
import { checkTemporalCli } from '../../src/main/doctor/tools.ts';
import { writeRecord } from '../../src/main/processes.ts';
import { run } from '../support/loam.ts';

const root = path.resolve(import.meta.dirname, '../..');
const cacheHome = process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache');
const token = 'loam_a-token-that-nobody-may-see';

let folder = '';
let dataDir = '';

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'loam-doctor-test-'));
  dataDir = path.join(folder, 'data');
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

function environmentOf(change: Readonly<Record<string, string>> = {}): Record<string, string> {
  const ports = { LOAM_API_PORT: '0', LOAM_RELAY_PORT: '0', LOAM_TEMPORAL_PORT: '0', LOAM_TEMPORAL_UI_PORT: '0' };
  const known = { PATH: process.env['PATH'] ?? '', HOME: homedir(), XDG_CACHE_HOME: cacheHome };
  return { ...known, ...ports, LOAM_DATA_DIR: dataDir, ...change };
}

function makeConfig(change: Readonly<Record<string, string>> = {}): Config {
  return readConfig(environmentOf(change), folder);
}

async function runningCheck(config: Config, name: string): Promise<Check> {
  const found = (await checkRunning(config)).find((check) => check.name === name);
  if (found === undefined) throw new Error(`no check "${name}"`);
  return found;
}

async function runDoctor(change: Readonly<Record<string, string>> = {}, json = true) {
  const source = `
    import { readConfig } from '${root}/src/config.ts';
    import { runDoctor } from '${root}/src/main/doctor.ts';
    process.exitCode = await runDoctor(readConfig(), { json: ${String(json)} });`;
  return run(process.execPath, ['--input-type=module', '-e', source], { cwd: folder, env: environmentOf(change) });
}

async function listen(handle: RequestListener): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** As a supervisor leaves it: this process plays all of its parts. */
async function pretendToRun(apiUrl: string, relayUrl = apiUrl): Promise<void> {
  await mkdir(path.join(dataDir, 'tokens'), { recursive: true });
  await writeFile(path.join(dataDir, 'tokens/admin'), `${token}\n`, { mode: 0o600 });
  const endpoint = { apiUrl, relayUrl, temporalAddress: inject('temporalAddress'), temporalUiUrl: '' };
  await writeFile(path.join(dataDir, 'endpoint.json'), JSON.stringify(endpoint));
  const own = identifyProcess(process.pid);
  if (own === undefined) throw new Error('this process has no record');
  await writeRecord(dataDir, 'up', own);
  await writeRecord(dataDir, 'worker', own);
}

const status = { version: '0.1.0', temporal: 'ok', openRuns: 2, openGates: 1 };

/** What API and relay answer when all is well. */
const answerWell: RequestListener = (request, response) => {
  response.end(JSON.stringify(request.url === '/readyz' ? { status: 'ok', waiting: 3, dead: 0 } : status));
};

describe('before the first start', () => {
  it('finds nothing missing, says what to do where it is not well, and leaves no trace', async () => {
    const checks = await examine(makeConfig());

    expect(checks.filter((check) => check.status === 'missing')).toEqual([]);
    expect(checks.map(({ name }) => name)).toEqual([
      ...['platform', 'node', 'git', 'pip', 'temporal cli', 'bubblewrap', 'sandbox', 'slirp4netns', 'user namespaces'],
      ...[
        'docker',
        'executor',
        'data folder',
        'free space',
        'database',
        'key',
        'api',
        'worker',
        'relay',
        'temporal server',
        'ports',
      ],
    ]);
    for (const check of checks) expect(check.remedy === undefined, check.name).toBe(check.status === 'ok');
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('the programs', () => {
  it('says what would be fetched, and fetches nothing', async () => {
    const cache = path.join(folder, 'cache');
    const checks = await examine(makeConfig({ XDG_CACHE_HOME: cache, PATH: '/usr/bin:/bin' }));

    const found = Object.fromEntries(checks.map(({ name, found: text }) => [name, text]));
    expect(found['temporal cli']).toMatch(/would be fetched|is not here/);
    expect(found['sandbox']).toMatch(/not tried/);
    expect(await readdir(folder)).toEqual([]);
  });

  it('finds a named program that does not work', async () => {
    const check = await checkTemporalCli(makeConfig({ LOAM_TEMPORAL_BIN: '/bin/false' }), true);

    expect(check.check).toMatchObject({ status: 'missing', remedy: 'correct or remove LOAM_TEMPORAL_BIN' });
  });

  it('finds no git on an empty PATH', async () => {
    const check = await checkGit(makeConfig({ PATH: folder }));

    expect(check).toMatchObject({ status: 'missing', found: 'not on PATH' });
  });
});

describe('the data folder', () => {
  it('is refused when it is a file', async () => {
    await writeFile(dataDir, '');

    expect(await checkDataFolder(makeConfig())).toMatchObject({ status: 'missing' });
  });

  it('has a database that opens', async () => {
    await mkdir(dataDir);
    const database = new DatabaseSync(path.join(dataDir, 'loam.db'));
    database.exec('create table runs (id text)');
    database.close();

    const check = await checkDatabase(makeConfig());

    expect(check.status).toBe('ok');
    expect(check.found).toContain('1 tables');
  });

  it('has a database that does not open', async () => {
    await mkdir(dataDir);
    await writeFile(path.join(dataDir, 'loam.db'), 'this is no database, and it never was one'.repeat(100));

    expect(await checkDatabase(makeConfig())).toMatchObject({ status: 'missing' });
  });

  it('names a database server that does not answer, and not its password (I7)', async () => {
    const check = await checkDatabase(makeConfig({ LOAM_DATABASE_URL: 'postgresql://loam:hunter2@127.0.0.1:1/loam' }));

    expect(check).toMatchObject({ status: 'missing', remedy: 'start the server, or correct LOAM_DATABASE_URL' });
    expect(JSON.stringify(check)).not.toContain('hunter2');
  });

  it('has a key that others may read', async () => {
    await mkdir(dataDir);
    const key = path.join(dataDir, 'key');
    await writeFile(key, 'the key of everything');
    await chmod(key, 0o644);

    const check = await checkKey(makeConfig());

    expect(check).toEqual({
      name: 'key',
      status: 'missing',
      found: `${key} has mode 0644: other users may read it`,
      remedy: `chmod 600 ${key}`,
    });
  });

  it('has lost its key', async () => {
    await mkdir(dataDir);
    await writeFile(path.join(dataDir, 'loam.db'), '');

    expect(await checkKey(makeConfig())).toMatchObject({ status: 'missing' });
  });
});

describe('what runs', () => {
  it('finds API, worker, relay and Temporal server', async () => {
    let authorization: string | undefined;
    const api = await listen((request, response) => {
      authorization ??= request.headers.authorization;
      answerWell(request, response);
    });
    await pretendToRun(`http://127.0.0.1:${api.port}`);

    const checks = await checkRunning(makeConfig({ LOAM_TEMPORAL_ADDRESS: inject('temporalAddress') }));
    await api.close();

    const found = Object.fromEntries(checks.map((check) => [check.name, check]));
    expect(found['api']).toMatchObject({ status: 'ok' });
    expect(found['api']?.found).toContain('2 open runs, 1 open gates');
    expect(authorization).toBe(`Bearer ${token}`);
    expect(found['worker']).toMatchObject({ status: 'ok', found: `process ${process.pid}` });
    expect(found['relay']).toMatchObject({ status: 'ok' });
    expect(found['relay']?.found).toContain('3 deliveries to forward, 0 refused');
    expect(found['temporal server']).toMatchObject({ status: 'ok' });
    expect(found['temporal server']?.found).toContain(`1.32.0 at ${inject('temporalAddress')}`);
  });

  it('misses what a living supervisor should keep alive', async () => {
    const api = await listen(() => undefined);
    await api.close();
    await pretendToRun(`http://127.0.0.1:${api.port}`);
    await writeRecord(dataDir, 'worker', { pid: process.pid, startTime: '1' });

    const checks = await checkRunning(makeConfig());

    const missing = checks.filter((check) => check.status === 'missing').map(({ name }) => name);
    expect(missing).toEqual(['api', 'worker', 'relay']);
  });

  it('misses an API that does not know the token', async () => {
    const api = await listen((_, response) => response.writeHead(401).end('{}'));
    await pretendToRun(`http://127.0.0.1:${api.port}`);

    const check = await runningCheck(makeConfig(), 'api');
    await api.close();

    expect(check.status).toBe('missing');
    expect(check.found).toContain('answers 401');
  });

  it('misses a named Temporal server that does not answer', async () => {
    const gone = await listen(() => undefined);
    await gone.close();

    const check = await runningCheck(
      makeConfig({ LOAM_TEMPORAL_ADDRESS: `127.0.0.1:${gone.port}` }),
      'temporal server',
    );

    expect(check).toMatchObject({ status: 'missing' });
  });

  it('warns of deliveries that were refused', async () => {
    const relay = await listen((_, response) => response.end(JSON.stringify({ waiting: 0, dead: 2 })));
    await pretendToRun('http://127.0.0.1:1', `http://127.0.0.1:${relay.port}`);

    const check = await runningCheck(makeConfig(), 'relay');
    await relay.close();

    expect(check).toMatchObject({ status: 'warning', remedy: 'loam relay list' });
    expect(check.found).toContain('2 refused');
  });

  it('warns of a port that another program has', async () => {
    const other = await listen(() => undefined);

    const check = await runningCheck(makeConfig({ LOAM_API_PORT: String(other.port) }), 'ports');
    await other.close();

    expect(check).toMatchObject({
      status: 'warning',
      found: `taken by another program: LOAM_API_PORT ${other.port}`,
    });
  });
});

describe('the report', () => {
  it('is one JSON document, ends with 0, and holds no secret', async () => {
    const api = await listen(answerWell);
    await pretendToRun(`http://127.0.0.1:${api.port}`);

    const result = await runDoctor();
    await api.close();

    expect(result.stderr).toBe('');
    expect(result.code).toBe(0);
    expect(JSON.parse(result.stdout)).toMatchObject({ ok: true, checks: expect.any(Array) as unknown });
    expect(result.stdout).not.toContain(token);
  });

  it('ends with 1 when something is missing, and says what to do in lines for people', async () => {
    const result = await runDoctor({ LOAM_BWRAP_BIN: '/bin/false' }, false);

    expect(result.code).toBe(1);
    expect(result.stdout).toMatch(/^missing {2}bubblewrap {2}.*\n +-> correct or remove LOAM_BWRAP_BIN$/m);
    expect(result.stdout).toMatch(/^ok {7}node {2}/m);
    expect(result.stdout).toMatch(/1 of these is missing/);
  });
});
