// I2, I5, I7, I8 of image builds: the activity over a real engine, its BuildKit and a real registry.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type Docker from 'dockerode';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { openEngine } from '../../src/adapters/engine/engine.ts';
import { createDockerImageBuilder } from '../../src/adapters/image/docker/image-builder.ts';
import { parseEnvironmentName, parseTaskName } from '../../src/core/model/ids.ts';
import type { RunId } from '../../src/core/model/ids.ts';
import {
  call,
  findTask,
  makeActivityRoom,
  makeEnvironment,
  push,
  readLog,
  resolveRun,
  thingy,
  waitFor,
} from '../support/activity-room.ts';
import type { ActivityRoom } from '../support/activity-room.ts';
import { killEngine, letEngineStart, startEngine } from '../support/engine-host.ts';
import type { EngineHost, TestEngine } from '../support/engine-host.ts';
import { registryLogin, startRegistry } from '../support/registry.ts';
import type { TestRegistry } from '../support/registry.ts';

const patienceMs = 60_000;
const baseImage = 'loam-test/busybox:1';

let host: EngineHost;
let testEngine: TestEngine;
let engine: Docker;
let registry: TestRegistry;
let room: ActivityRoom;

beforeAll(async () => {
  const [own, started] = await Promise.all([startEngine(), startRegistry({ hasAccount: false })]);
  host = own.host;
  testEngine = own.engine;
  registry = started;
  engine = openEngine(testEngine.socketPath);
}, 400_000);
afterAll(async () => {
  await registry.close();
  await host.stop();
});
beforeEach(async () => {
  const fresh = await makeActivityRoom();
  const { logger } = fresh.dependencies;
  const builder = createDockerImageBuilder({ engine, registry: undefined, readLogin: undefined, logger });
  room = { ...fresh, dependencies: { ...fresh.dependencies, images: builder } };
  await room.store.environments.put(thingy, parseEnvironmentName('staging'), { target: 'docker' });
});
afterEach(() => room.close());

/** A plan whose only environment is a container engine's. `keys` are the build's own. */
function planOf(keys = ''): string {
  return `version: 1
applications: {thingy: {start: run}}
environments: {staging: {compute: docker}}
workflow:
  build: {type: build_image${keys}}
  template: {type: generate_template, image: {get_output: build.digest}}
  staging: {type: deploy_stack, environment: staging, template: {get_output: template}}
`;
}

type Files = Readonly<Record<string, string>>;

interface Begun {
  readonly run: RunId;
  /** Calls the activity; each call is a worker of its own. */
  readonly build: (environment?: ReturnType<typeof makeEnvironment>, attempt?: number) => ReturnType<typeof buildIn>;
}

async function begin(files: Files, keys = ''): Promise<Begun> {
  await room.gitPlace.push(files, 'files');
  const run = await push(room, planOf(keys));
  const { planDigest, graph } = await resolveRun(room, run);
  const task = findTask({ graph } as never, 'build', 'build_image');
  return { run, build: (environment, attempt = 1) => buildIn(room, { run, planDigest, task, attempt }, environment) };
}

function buildIn(
  there: Pick<ActivityRoom, 'dependencies'>,
  input: Parameters<typeof call<'build_image'>>[2],
  environment?: ReturnType<typeof makeEnvironment>,
): ReturnType<typeof call<'build_image'>> {
  return call(there, 'build_image', input, environment);
}

function logOf(run: RunId, attempt = 1): Promise<string> {
  return readLog(room, { run, task: parseTaskName('build'), attempt });
}

async function output(run: RunId, key: string): Promise<string | undefined> {
  return room.store.tasks.output(run, { task: parseTaskName('build'), key });
}

/** Only there: the engine has to fetch it. */
async function pushImage({ address }: TestRegistry, name: string): Promise<void> {
  const colon = registryLogin.indexOf(':');
  const [username, password] = [registryLogin.slice(0, colon), registryLogin.slice(colon + 1)];
  const repo = `${address}/${name}`;
  await engine.getImage(baseImage).tag({ repo, tag: '1' });
  const image = engine.getImage(`${repo}:1`);
  const stream = await image.push({ authconfig: { username, password, serveraddress: address } });
  for await (const line of stream) expect(String(line)).not.toContain('error');
  await image.remove();
}

it('builds the commit with target, args and .dockerignore, and logs each line of its steps', async () => {
  const { run, build } = await begin(
    {
      'docker/Dockerfile': `FROM ${baseImage} AS app\nARG GREETING\nARG SOURCE_DATE_EPOCH\nCOPY . /app\nRUN echo "hello $GREETING"; echo "epoch $SOURCE_DATE_EPOCH"; ls /app\nFROM app AS bad\nRUN exit 1\n`,
      '.dockerignore': 'secret\n*.log\n!keep.log\n',
      secret: 'x',
      'a.log': 'x',
      'keep.log': 'x',
    },
    ', dockerfile: docker/Dockerfile, target: app, args: {GREETING: you}',
  );

  const outcome = await build();

  const log = await logOf(run);
  expect(outcome, log).toEqual({ status: 'succeeded', exitCode: 0 });
  expect(log).toMatch(/^#\d+ hello you$/m);
  expect(log).toMatch(/^#\d+ epoch \d{9,}$/m);
  expect(log).toMatch(/^#\d+ keep\.log$/m);
  expect(log).not.toMatch(/^#\d+ (secret|a\.log)$/m);
  const digest = (await output(run, 'digest')) ?? '';
  expect(await output(run, '')).toBe(digest);
  const { Id, Config } = await engine.getImage(digest).inspect();
  expect(Id).toBe(digest);
  expect(Config.Labels).toEqual({
    'org.opencontainers.image.source': room.gitPlace.remote,
    'org.opencontainers.image.revision': room.commits.at(-1),
  });
});

it('makes the same image of the same commit, and finds what an attempt has built already (I2, I5)', async () => {
  const { run, build } = await begin({ Dockerfile: `FROM ${baseImage}\nCOPY . /app\nRUN date > /built\n` });
  await build();
  const first = await output(run, 'digest');
  const reads = await logOf(run);

  expect(await build()).toEqual({ status: 'succeeded', exitCode: 0 });
  expect(await logOf(run)).toBe(reads);
  expect(await build(undefined, 2)).toEqual({ status: 'succeeded', exitCode: 0 });

  expect(await logOf(run, 2)).toMatch(/CACHED/);
  const attempts = (await room.store.tasks.attempts(run)).map(({ outputs }) => outputs['digest']);
  expect(attempts).toEqual([first, first]);
});

it('ends a failing step as failed, with its exit code and its lines', async () => {
  const { run, build } = await begin({ Dockerfile: `FROM ${baseImage}\nRUN echo first; echo last >&2; exit 3\n` });

  expect(await build()).toMatchObject({ status: 'failed', exitCode: 3 });
  const log = await logOf(run); // the two streams of a step have no order between them
  expect(log).toMatch(/^#\d+ first$/m);
  expect(log).toMatch(/^#\d+ last$/m);
});

it.each([
  ['has no Dockerfile', { other: 'x' }, 'the tree has no Dockerfile'],
  ['has nonsense in it', { Dockerfile: 'FROM scratch\nNONSENSE x\n' }, 'unknown instruction: NONSENSE'],
  [
    'lets the engine fetch an address of this machine',
    { Dockerfile: 'FROM scratch\nADD http://127.0.0.1:7700/ /x\n' },
    'line 2: ADD',
  ],
  [
    'hides the address in a variable',
    { Dockerfile: 'FROM scratch\nARG X=http://127.0.0.1/\nADD ["$X", "/x"]\n' },
    'line 3: ADD',
  ],
  ['leaves it to the next build', { Dockerfile: 'FROM scratch\nONBUILD ADD https://x.me/a /x\n' }, 'line 2: ADD'],
  [
    'brings a builder of its own',
    { Dockerfile: '# syntax=evil.me/frontend:1\nFROM scratch\n' },
    'evil.me/frontend:1 is not allowed',
  ],
])('fails a build that %s, and says so (I8)', async (_case, files, reason) => {
  const { build } = await begin(files);

  const outcome = await build();

  expect(outcome).toMatchObject({ status: 'failed', code: 'build-failed' });
  expect(outcome.reason).toContain(reason);
});

it('keeps a step within its network: none has none, and egress does not reach the loopback (I8)', async () => {
  const probe = `wget -q -T 2 -O - http://${registry.address}/v2/ || echo unreachable; ls /sys/class/net`;
  const files = { Dockerfile: `FROM ${baseImage}\nRUN ${probe}\n` };
  const egress = await begin(files);
  await egress.build();
  const none = await begin(files, ', network: none');
  await none.build();

  const [open, closed] = [await logOf(egress.run), await logOf(none.run)];
  expect(open).toMatch(/^#\d+ unreachable$/m);
  expect(open).toMatch(/^#\d+ eth0$/m);
  expect(closed).toMatch(/^#\d+ unreachable$/m);
  expect(closed).not.toMatch(/^#\d+ eth0$/m);
});

it('stops a cancelled build with its steps', async () => {
  const { run, build } = await begin({ Dockerfile: `FROM ${baseImage}\nRUN echo begun; sleep 4321\n` });
  const environment = makeEnvironment();
  const building = build(environment);
  await waitFor('the step runs', async () => (await logOf(run)).includes('begun'), patienceMs);

  environment.cancel();

  expect(await building).toMatchObject({ status: 'cancelled' });
  expect(await logOf(run)).toContain('loam: cancelled; the build is stopped');
  await waitFor(
    'the step has ended',
    () => !execFileSync('ps', ['-e', '-o', 'args']).toString().includes('sleep 4321'),
    patienceMs,
  );
});

it('ends a build at its timeout', async () => {
  const { build } = await begin({ Dockerfile: `FROM ${baseImage}\nRUN sleep 1234\n` }, ', timeout: 2s');

  expect(await build()).toMatchObject({ status: 'failed', code: 'job-timed-out' });
});

it('pushes to the registry, by digest', async () => {
  const { logger } = room.dependencies;
  const team = `${registry.address}/team`;
  const builder = createDockerImageBuilder({ engine, registry: team, readLogin: undefined, logger });
  room = { ...room, dependencies: { ...room.dependencies, images: builder } };
  const { run, build } = await begin({ Dockerfile: `FROM ${baseImage}\nRUN echo pushed > /x\n` });

  await build();

  const reference = (await output(run, 'reference')) ?? '';
  const [name, digest] = reference.split('@');
  expect([name, digest]).toEqual([`${registry.address}/team/thingy`, expect.stringMatching(/^sha256:[0-9a-f]{64}$/)]);
  const manifest = await fetch(`http://${registry.address}/v2/team/thingy/manifests/${digest ?? ''}`, {
    headers: { accept: 'application/vnd.docker.distribution.manifest.v2+json' },
  });
  expect(await manifest.text()).toContain((await output(run, 'digest')) ?? 'no digest');
});

it('pushes to a registry that wants a login, which stands nowhere else (I7)', async () => {
  const { logger } = room.dependencies;
  const closed = await startRegistry({ hasAccount: true });
  try {
    const useLogin = (readLogin: (() => string) | undefined) => {
      const builder = createDockerImageBuilder({ engine, registry: closed.address, readLogin, logger });
      room = { ...room, dependencies: { ...room.dependencies, images: builder } };
    };
    const { run, build } = await begin({ Dockerfile: `FROM ${baseImage}\nRUN echo closed > /x\n` });

    useLogin(undefined);
    await expect(build()).rejects.toMatchObject({
      type: 'engine-unavailable',
      message: expect.stringContaining('LOAM_REGISTRY_LOGIN') as string,
    });
    useLogin(() => registryLogin);
    await build();

    expect(await output(run, 'reference')).toMatch(new RegExp(`^${closed.address}/thingy@sha256:[0-9a-f]{64}$`));
    expect(await logOf(run)).not.toContain('let-me');
  } finally {
    await closed.close();
  }
});

it('builds on images of a registry that wants a login; no other host is told of it (I7)', async () => {
  const { logger } = room.dependencies;
  const closed = await startRegistry({ hasAccount: true });
  const heard: string[] = [];
  const stranger = http.createServer(({ headers }, response) => {
    heard.push(String(headers.authorization));
    response.writeHead(401, { 'www-authenticate': 'Basic realm="yours"' }).end();
  });
  await once(stranger.listen(0, '127.0.0.1'), 'listening');
  try {
    const useLogin = (login: string | undefined) => {
      const readLogin = login === undefined ? undefined : () => login;
      const builder = createDockerImageBuilder({ engine, registry: closed.address, readLogin, logger });
      room = { ...room, dependencies: { ...room.dependencies, images: builder } };
    };
    await pushImage(closed, 'base');
    const dockerfile = `ARG FROM=${closed.address}/base:1\nFROM $FROM AS app\nRUN echo based > /x\nFROM ${baseImage}\nCOPY --from=app /x /x\nRUN cat /x\n`;
    const { run, build } = await begin({ Dockerfile: dockerfile });
    const { port } = stranger.address() as AddressInfo;
    const foreign = await begin({ Dockerfile: `FROM 127.0.0.1:${String(port)}/base:1\n` });

    useLogin(undefined);
    const refused = await build();
    useLogin(registryLogin);
    const strange = await foreign.build();
    const built = await build(undefined, 2);

    expect(refused).toMatchObject({
      status: 'failed',
      code: 'build-failed',
      reason: expect.stringContaining('of LOAM_REGISTRY, with LOAM_REGISTRY_LOGIN') as string,
    });
    expect(built).toEqual({ status: 'succeeded', exitCode: 0 });
    expect(await logOf(run, 2)).toMatch(/^#\d+ based$/m);
    expect(strange).toMatchObject({ status: 'failed', code: 'build-failed' });
    expect(new Set(heard)).toEqual(new Set(['undefined']));
    const image = engine.getImage((await output(run, 'digest')) ?? '');
    const told = JSON.stringify([
      await logOf(run, 2),
      await logOf(foreign.run),
      await image.inspect(),
      await image.history(),
    ]);
    const secret = registryLogin.slice(registryLogin.indexOf(':') + 1);
    for (const text of [secret, Buffer.from(registryLogin).toString('base64')]) expect(told).not.toContain(text);
  } finally {
    stranger.close();
    await closed.close();
  }
});

it('tries again when the engine was killed in mid-build: never a red task', async () => {
  const { run, build } = await begin({ Dockerfile: `FROM ${baseImage}\nRUN echo begun; sleep 3; echo ended\n` });
  const building = build();
  building.catch(() => undefined);
  await waitFor('the step runs', async () => (await logOf(run)).includes('begun'), patienceMs);

  await killEngine(testEngine.folder);

  await expect(building).rejects.toMatchObject({ type: 'engine-unavailable', nonRetryable: false });
  await expect(build()).rejects.toMatchObject({ type: 'engine-unavailable' });
  await letEngineStart(testEngine.folder);
  expect(await build()).toEqual({ status: 'succeeded', exitCode: 0 });
  expect(await logOf(run)).toMatch(/the build was cut off; it is begun again[^]*ended/);
}, 180_000);
