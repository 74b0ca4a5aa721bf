// docker-compose.yml and Dockerfile are what they say, as far as that can be seen without an engine that pulls images.
import { cp, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import dockerignore from '@balena/dockerignore';
import { DockerfileParser } from 'dockerfile-ast';
import { CORE_SCHEMA, load, mergeTag } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { readConfig } from '../../src/config.ts';
import { run } from '../support/loam.ts';

const root = path.resolve(import.meta.dirname, '../..');
const Condition = z.strictObject({ condition: z.literal('service_healthy') });
/** The part of the format that is used: a key that is spelled wrongly is refused. */
const Service = z.strictObject({
  image: z.string().regex(/^[\w./-]+(:\d[\w.]*)?$/),
  build: z.literal('.').optional(),
  init: z.literal(true).optional(),
  restart: z.literal('unless-stopped'),
  security_opt: z.array(z.string()).optional(),
  cap_drop: z.tuple([z.literal('ALL')]).optional(),
  command: z.array(z.string()).optional(),
  depends_on: z.record(z.string(), Condition).default({}),
  devices: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()),
  ports: z.array(z.string().regex(/^127\.0\.0\.1:\d+:\d+$/, 'is published on the loopback only')).default([]),
  stop_grace_period: z.string().optional(),
  volumes: z.array(z.string()).default([]),
  healthcheck: z.strictObject({
    test: z.tuple([z.literal('CMD')]).rest(z.string()),
    interval: z.string(),
    timeout: z.string(),
    retries: z.number(),
    start_period: z.string().optional(),
  }),
});
const Compose = z.strictObject({
  name: z.literal('loam'),
  'x-loam': z.unknown(),
  'x-settings': z.unknown(),
  services: z.record(z.string(), Service),
  volumes: z.record(z.string(), z.null()),
});

async function read(file: string): Promise<string> {
  return readFile(path.join(root, file), 'utf8');
}

async function readCompose(): Promise<z.output<typeof Compose>> {
  return Compose.parse(load(await read('docker-compose.yml'), { schema: CORE_SCHEMA.withTags(mergeTag) }));
}

/** With what a person puts into .env. */
function interpolate(environment: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const fill = (value: string): string =>
    value.replaceAll(/\$\{[A-Z_]+:\?[^}]*\}/g, 'given-by-the-person-1').replaceAll(/\$\{[A-Z_]+:-([^}]*)\}/g, '$1');
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, fill(value)]));
}

const stacksOff = './src/adapters/temporal/promise-stacks-off.ts';

function configOf(services: z.output<typeof Compose>['services'], name: string): ReturnType<typeof readConfig> {
  const { command, environment } = Service.parse(services[name]);
  const options = name === 'worker' ? ['--import', stacksOff] : [];
  expect(command).toEqual(['node', ...options, `src/main/${name}.ts`]);
  for (const file of [stacksOff, `src/main/${name}.ts`]) expect(existsSync(path.join(root, file))).toBe(true);
  return readConfig({ ...interpolate(environment), LOAM_DATA_DIR: '/var/lib/loam' }, '/opt/loam');
}

describe('docker-compose.yml', () => {
  it('has all that Loam needs, each with a health check', async () => {
    const { services, volumes } = await readCompose();

    expect(Object.keys(services)).toEqual(['postgres', 'temporal', 'temporal-ui', 'api', 'relay', 'worker']);
    for (const { depends_on, volumes: mounts } of Object.values(services)) {
      expect(Object.keys(services)).toEqual(expect.arrayContaining(Object.keys(depends_on)));
      const named = mounts.filter((mount) => !mount.startsWith('/')).map((mount) => mount.split(':')[0]);
      expect(Object.keys(volumes)).toEqual(expect.arrayContaining(named));
    }
  });

  it('starts programs that are there, with settings that Loam takes', async () => {
    const { services } = await readCompose();

    const [api, relay, worker] = [configOf(services, 'api'), configOf(services, 'relay'), configOf(services, 'worker')];

    expect([api.bindAddress, relay.bindAddress, worker.bindAddress]).toEqual(['0.0.0.0', '0.0.0.0', '127.0.0.1']);
    for (const { database, keyFile, blobsDir, temporal } of [api, worker]) {
      expect(database.readUrl?.()).toBe('postgresql://loam:given-by-the-person-1@postgres:5432/loam');
      expect([keyFile, blobsDir]).toEqual(['/var/lib/loam-shared/key', '/var/lib/loam-shared/blobs']);
      expect(temporal.address).toBe('temporal:7233');
    }
    // The relay has no database, and calls the API by a name that the API answers to.
    expect(relay.database.readUrl).toBeUndefined();
    expect(api.api.hosts).toContain(new URL(String(relay.client.url)).hostname);
  });

  it('lets each worker have a data folder of its own, and the relay see no more than the triggers', async () => {
    const { services } = await readCompose();

    expect(services['worker']?.volumes).toEqual(['/var/lib/loam', 'shared:/var/lib/loam-shared']);
    expect(services['worker']?.ports).toEqual([]);
    expect(services['relay']?.volumes).toEqual(['relay:/var/lib/loam', 'triggers:/etc/loam:ro']);
    expect(services['api']?.volumes).toContain('triggers:/var/lib/loam/relay');
  });

  it('holds no secret (I7)', async () => {
    const { services } = await readCompose();
    const secrets = Object.values(services).flatMap(({ environment }) =>
      Object.entries(environment).filter(([name]) => /PASSWORD|PWD|TOKEN|DATABASE_URL/.test(name)),
    );

    expect(secrets).toHaveLength(5);
    for (const [name, value] of secrets) expect(`${name} ${value}`).toMatch(/\$\{(POSTGRES_PASSWORD|ADMIN_TOKEN):\?/);
  });
});

describe('Dockerfile', () => {
  /** What the image takes from the repository. */
  async function copied(): Promise<readonly string[]> {
    const instructions = DockerfileParser.parse(await read('Dockerfile')).getCOPYs();
    return instructions
      .filter((copy) => copy.getFromFlag() === null)
      .flatMap((copy) => copy.getArguments().slice(0, -1))
      .map((argument) => argument.getValue());
  }

  it('has two stages, and ends as a user who is not root', async () => {
    const file = DockerfileParser.parse(await read('Dockerfile'));
    const users = file.getInstructions().filter((one) => one.getKeyword() === 'USER');

    expect(file.getFROMs().map((one) => one.getBuildStage())).toEqual(['packages', null]);
    expect(users.map((one) => one.getArgumentsContent())).toEqual(['node']);
  });

  it('copies what is there and what .dockerignore sends', async () => {
    const filter = dockerignore.default({ ignorecase: false }).add(await read('.dockerignore'));

    for (const name of await copied()) {
      expect(existsSync(path.join(root, name)), name).toBe(true);
      expect(filter.ignores(name), name).toBe(false);
    }
    expect(['.env', '.git', 'test', 'node_modules'].filter((name) => !filter.ignores(name))).toEqual([]);
  });

  it('copies all that the processes load', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'loam-image-'));
    try {
      for (const name of await copied()) await cp(path.join(root, name), path.join(folder, name), { recursive: true });
      await symlink(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));

      // A variable that is refused: everything is loaded by then, and nothing begun.
      const env = { PATH: process.env['PATH'] ?? '', LOAM_UNHEARD_OF: '1' };
      const ended = await Promise.all(
        ['api', 'relay', 'worker', 'cli'].map((name) =>
          run(process.execPath, [`src/main/${name}.ts`, 'status'], { cwd: folder, env }),
        ),
      );

      for (const { code, stderr } of ended) {
        expect(stderr).toContain('LOAM_UNHEARD_OF');
        expect(code).not.toBe(0);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
