import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { renderConfigurationPage, renderEnvironmentExample } from '../../../scripts/configuration-docs.ts';
import { describeVariables, readConfig } from '../../../src/config.ts';
import { ConfigurationError } from '../../../src/configuration-error.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const folder = mkdtempSync(path.join(tmpdir(), 'loam-config-'));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    readConfig(environment, folder);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems.map((problem) => problem.variable);
    throw error;
  }
  return [];
}

describe('readConfig', () => {
  it('has a default for everything', () => {
    const config = readConfig({ PATH: '/bin' }, folder);

    expect(config).toMatchObject({
      dataDir: path.join(folder, '.loam'),
      keyFile: path.join(folder, '.loam/key'),
      searchPath: '/bin',
      logLevel: 'info',
      blobsDir: path.join(folder, '.loam/blobs'),
      bindAddress: '127.0.0.1',
      api: { port: 7700, hosts: [], readAdminToken: undefined },
      front: { firstPort: 7800 },
      temporal: { address: undefined, namespace: 'loam', program: undefined, port: 7233, uiPort: 8233 },
      database: { readUrl: undefined },
      client: { url: undefined, readToken: undefined },
    });
    expect(config.jobs.capacity).toBeGreaterThanOrEqual(2);
    expect(config.hostId).not.toBe('');
  });

  it('reads what is set and takes an empty value for not set', () => {
    const config = readConfig(
      {
        LOAM_DATA_DIR: '/data',
        LOAM_BLOBS_DIR: '/blobs',
        LOAM_BIND_ADDRESS: '::',
        LOAM_TEMPORAL_ADDRESS: '127.0.0.1:7000',
        LOAM_API_PORT: '0',
        LOAM_HOSTS: 'Loam.example,api',
        LOAM_JOBS_CAPACITY: '7',
        LOAM_LOG_LEVEL: '',
        XDG_CACHE_HOME: '/cache',
        LOAM_NODE: 'pinned',
      },
      folder,
    );

    expect(config).toMatchObject({
      dataDir: '/data',
      keyFile: '/data/key',
      blobsDir: '/blobs',
      bindAddress: '::',
      cacheDir: '/cache/loam',
      temporal: { address: '127.0.0.1:7000' },
      api: { port: 0, hosts: ['loam.example', 'api'] },
      jobs: { capacity: 7 },
      logLevel: 'info',
    });
  });

  it('reports every problem at once, without the values', () => {
    const environment = {
      LOAM_API_PORT: '70000',
      LOAM_BIND_ADDRESS: 'secret-host',
      LOAM_ADMIN_TOKEN: 'secret-but-short',
      LOAM_HOSTS: 'loam.example:443,api',
      LOAM_TEMPORAL_ADDRESS: 'secret-host',
      LOAM_JOBS_CAPACITY: '0',
      LOAM_LOG_LEVEL: 'loud',
      LOAM_URL: 'ftp://secret-host',
      LOAM_PUBLIC_URL: 'https://ann:secret@loam.example',
      LOAM_RELAY_PUBLIC_URL: 'https://loam.example?secret',
      LOAM_DATABASE_URL: 'mysql://loam:secret@host/loam',
      LOAM_TOKEN: 'secret with spaces',
      LOAM_API_PROT: '1',
    };

    const variables = problemsOf(environment);

    expect(new Set(variables)).toEqual(new Set(Object.keys(environment)));
    expect(() => readConfig(environment, folder)).not.toThrow(/secret/);
  });

  it('answers under the name of its public URL too, and takes no other kind of URL', () => {
    const { api } = readConfig({ LOAM_PUBLIC_URL: 'https://loam.example:8443/ci/', LOAM_HOSTS: 'api' }, folder);

    expect(api).toMatchObject({ publicUrl: 'https://loam.example:8443/ci', hosts: ['api', 'loam.example'] });
    expect(readConfig({}, folder).api.publicUrl).toBeUndefined();
    for (const url of ['loam.example', 'ftp://loam.example', 'https://ann@loam.example', 'https://loam.example/?a=b'])
      expect(problemsOf({ LOAM_PUBLIC_URL: url })).toEqual(['LOAM_PUBLIC_URL']);
  });

  it('takes a public URL for the relay alone, under whose name the API does not answer', () => {
    const { api, relay } = readConfig({ LOAM_RELAY_PUBLIC_URL: 'https://hooks.example/loam/' }, folder);

    expect(relay.publicUrl).toBe('https://hooks.example/loam');
    expect(api).toMatchObject({ publicUrl: undefined, hosts: [] });
    expect(readConfig({ LOAM_PUBLIC_URL: 'https://loam.example' }, folder).relay.publicUrl).toBeUndefined();
  });

  it('cannot be changed', () => {
    const config = readConfig({}, folder);

    expect(Object.isFrozen(config) && Object.isFrozen(config.temporal)).toBe(true);
  });

  it('takes a secret from a file, shows it nowhere, and refuses both ways at once', () => {
    writeFileSync(path.join(folder, 'token'), 'abc\n');

    writeFileSync(path.join(folder, 'admin'), 'abcdefghijklmnopqrstuvwxyz\n');

    const config = readConfig({ LOAM_TOKEN_FILE: 'token', LOAM_ADMIN_TOKEN_FILE: 'admin' }, folder);

    expect(config.client.readToken?.()).toBe('abc');
    expect(config.api.readAdminToken?.()).toBe('abcdefghijklmnopqrstuvwxyz');
    expect(inspect(config, { depth: 9 }) + JSON.stringify(config)).not.toContain('abc');
    expect(problemsOf({ LOAM_TOKEN_FILE: 'token', LOAM_TOKEN: 'x' })).toEqual(['LOAM_TOKEN_FILE']);
    expect(problemsOf({ LOAM_TOKEN_FILE: 'missing' })).toEqual(['LOAM_TOKEN_FILE']);
  });

  it('shows the password of the database nowhere', () => {
    const url = 'postgresql://loam:hunter2@db.invalid/loam';

    const config = readConfig({ LOAM_DATABASE_URL: url }, folder);

    expect(config.database.readUrl?.()).toBe(url);
    expect(inspect(config, { depth: 9 }) + JSON.stringify(config)).not.toContain('hunter2');
  });

  it('shows the login of the registry nowhere, and refuses one without a password', () => {
    const config = readConfig({ LOAM_REGISTRY_LOGIN: 'loam:hunter2' }, folder);

    expect(config.docker.readRegistryLogin?.()).toBe('loam:hunter2');
    expect(inspect(config, { depth: 9 }) + JSON.stringify(config)).not.toContain('hunter2');
    expect(problemsOf({ LOAM_REGISTRY_LOGIN: 'hunter2' })).toEqual(['LOAM_REGISTRY_LOGIN']);
  });

  it('describes every variable', () => {
    const undescribed = describeVariables().filter(({ description }) => description === '');

    expect(undescribed).toEqual([]);
  });
});

describe('the generated documents', () => {
  it.each([
    ['docs/configuration.md', renderConfigurationPage],
    ['.env.example', renderEnvironmentExample],
  ])('%s is what the schema says (npm run docs)', async (file, render) => {
    const text = await readFile(path.join(root, file), 'utf8');

    expect(text).toBe(render());
  });
});
