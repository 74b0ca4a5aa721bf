import { readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { askFront } from '../../src/adapters/front/front-client.ts';
import { readReplicaState, writeReplicaState } from '../../src/adapters/front/replica-state.ts';
import type { ReplicaState } from '../../src/adapters/front/replica-state.ts';
import { keptFolder, releaseFolder, replicaFolder } from '../../src/adapters/front/layout.ts';
import type { ProcessTarget } from '../../src/adapters/target/process/process-target.ts';
import { isRunning, waitForEnd } from '../../src/adapters/host/process-identity.ts';
import { Secret } from '../../src/ports/secret.ts';
import type { ReleaseReference } from '../../src/ports/target.ts';
import { findBubblewrap, findProcesses, openProcessTarget } from './contracts/process-target-subject.ts';
import type { ProcessTargetSubject } from './contracts/process-target-subject.ts';
import {
  ask,
  askJson,
  makeReference,
  makeSpec,
  makeWorkshop,
  production,
  startLoad,
  staging,
  takeFrontPort,
  thingy,
} from './contracts/target-builders.ts';
import type { SpecOver, Workshop } from './contracts/target-builders.ts';

const noAbort = new AbortController().signal;
const secrets = { DATABASE_PASSWORD: new Secret('s3cr3t-value') };

describe.each(['bubblewrap', 'none'] as const)('what the target process keeps alive, sandbox %s', (sandbox) => {
  let workshop: Workshop;
  let bwrapPath: string | undefined;
  let subject: ProcessTargetSubject;
  let port: number;
  let url: string;

  beforeAll(async () => {
    workshop = makeWorkshop();
    bwrapPath = sandbox === 'bubblewrap' ? await findBubblewrap() : undefined;
  });
  beforeEach(async () => {
    subject = openProcessTarget(workshop, bwrapPath);
    port = await takeFrontPort();
    url = `http://127.0.0.1:${port}`;
  });
  afterEach(() => subject.close());
  afterAll(() => workshop.remove());

  async function deploy(over: SpecOver = {}): Promise<ReleaseReference> {
    const spec = makeSpec(workshop.artifact, port, { secrets, trustToken: new Secret('trust-token-value'), ...over });
    await subject.target.start(spec, noAbort);
    expect(await subject.target.awaitHealthy(spec.reference, { timeoutMs: 20_000, signal: noAbort })).toEqual({
      type: 'healthy',
    });
    await subject.target.switchTo(spec.reference);
    return spec.reference;
  }

  async function stateOf(reference = makeReference(), replica = 0): Promise<ReplicaState> {
    const state = await readReplicaState(replicaFolder(releaseFolder(subject.data, reference), replica));
    if (state === undefined) throw new Error('no state');
    return state;
  }

  async function killFront(): Promise<void> {
    const front = (await askFront(subject.data))?.process;
    if (front === undefined) throw new Error('no front');
    process.kill(front.pid, 'SIGKILL');
    await waitForEnd([front], 5000);
  }

  it('runs in the sandbox that it says', async () => {
    await deploy();

    expect(await stateOf()).toMatchObject({ status: 'healthy', sandbox });
    expect(await subject.target.status()).toMatchObject({
      environments: [
        {
          application: thingy,
          environment: staging,
          live: { release: 1, url },
          replicas: [{ status: 'healthy', isIsolated: sandbox === 'bubblewrap' }],
        },
      ],
    });
  });

  it('brings a killed keeper back, with config and secrets', async () => {
    await deploy();
    const { keeper, app } = await stateOf();
    process.kill(keeper.pid, 'SIGKILL');
    await waitForEnd([keeper], 5000);
    expect((await subject.target.status()).environments[0]?.replicas[0]?.status).toBe('lost');

    expect(await subject.reopen().restore()).toEqual([]);

    await expect.poll(async () => (await ask(`${url}/env`)).status, { timeout: 20_000 }).toBe(200);
    expect(await askJson(`${url}/env`)).toMatchObject({ DATABASE_PASSWORD: 's3cr3t-value', LOAM_RELEASE: '1' });
    expect(await askJson(`${url}/token`)).toEqual({ token: 'trust-token-value' });
    expect(app !== undefined && isRunning(app)).toBe(false);
  });

  it('brings a killed front back at the same URL', async () => {
    await deploy();
    const before = await askJson(url);
    await killFront();
    await expect(ask(url)).rejects.toThrow();

    await subject.reopen().restore();

    await expect.poll(() => askJson(url)).toEqual(before);
  });

  it('brings everything back after everything was killed', async () => {
    await deploy({ replicas: 2 });
    await deploy({ reference: { release: 2, fence: 2 } });
    const keepers = [
      (await stateOf()).keeper,
      (await stateOf(makeReference(), 1)).keeper,
      (await stateOf(makeReference({ release: 2, fence: 2 }))).keeper,
    ];
    for (const keeper of keepers) process.kill(keeper.pid, 'SIGKILL');
    await waitForEnd(keepers, 5000);
    await killFront();

    await subject.reopen().restore();

    await expect.poll(async () => (await ask(url)).status, { timeout: 20_000 }).toBe(200);
    expect(await askJson(url)).toMatchObject({ release: '2' });
    expect(isRunning((await stateOf()).keeper)).toBe(false); // release 1 is not live: whoever retires it ends it
  });

  it('adopts what still runs: restoring changes nothing', async () => {
    await deploy();
    const [before, front] = [await askJson(url), (await askFront(subject.data))?.process];
    const stop = startLoad(url);

    await Promise.all([subject.target.restore(), subject.reopen().restore(), subject.reopen().restore()]);

    expect((await stop()).failures).toEqual([]);
    expect(await askJson(url)).toEqual(before);
    expect((await askFront(subject.data))?.process).toEqual(front);
  });

  it('brings nothing back that is retired at the same moment', async () => {
    const first = await deploy();
    await deploy({ reference: { release: 2, fence: 2 } });
    const retired = new AbortController();
    const other = subject.reopen();
    const restoring = (async () => {
      while (!retired.signal.aborted) await Promise.all([other.restore(), startAgain(other, first)]);
    })();

    await subject.target.retire(first, 0);
    await subject.target.retire(first, 0);
    retired.abort();
    await restoring;

    expect(await subject.target.list(thingy, staging)).toEqual([makeReference({ release: 2, fence: 2 })]);
    expect(findProcesses(releaseFolder(subject.data, first))).toEqual([]);
  });

  it('does not take another process for its keeper because it has the same pid', async () => {
    await deploy();
    const state = await stateOf();
    await subject.target.down();
    const folder = replicaFolder(releaseFolder(subject.data, makeReference()), 0);
    await writeReplicaState(folder, { ...state, keeper: { pid: process.pid, startTime: '1' } });

    await subject.target.restore();

    await expect.poll(async () => (await ask(url)).status, { timeout: 20_000 }).toBe(200);
  });

  it('ends all with `down`, twice, and brings it back with `restore`', async () => {
    await deploy();
    await subject.target.down();
    await subject.target.down();
    await expect(ask(url)).rejects.toThrow();
    expect((await subject.target.status()).front).toBeUndefined();

    await subject.target.restore();

    await expect.poll(async () => (await ask(url)).status, { timeout: 20_000 }).toBe(200);
    expect(await subject.target.live(thingy, staging)).toEqual(makeReference());
  });

  it('goes on with a start that a crash cut in two', async () => {
    const spec = makeSpec(workshop.artifact, port);
    await subject.target.start(spec, noAbort);
    const { keeper } = await stateOf();
    process.kill(keeper.pid, 'SIGKILL');
    await waitForEnd([keeper], 5000);
    rmSync(path.join(releaseFolder(subject.data, spec.reference), 'release.json')); // the last thing that `start` writes

    await subject.reopen().start(spec, noAbort);

    expect(await subject.target.awaitHealthy(spec.reference, { timeoutMs: 20_000, signal: noAbort })).toEqual({
      type: 'healthy',
    });
  });

  it('starts a keeper again that dies while its health is awaited', async () => {
    const spec = makeSpec(workshop.artifact, port, { start: 'sleep 1; exec node server.mjs' });
    await subject.target.start(spec, noAbort);
    const waiting = subject.target.awaitHealthy(spec.reference, { timeoutMs: 30_000, signal: noAbort });
    process.kill((await stateOf()).keeper.pid, 'SIGKILL');

    expect(await waiting).toEqual({ type: 'healthy' });
  });

  it('leaves no process and no folder of a retired release, and keeps its data folder', async () => {
    const first = await deploy({
      start: 'mkdir -p locked/deep && chmod 0500 locked/deep locked; (setsid sleep 300 &) ; node server.mjs',
    });
    await askJson(`${url}/kept`);
    const { app } = await stateOf();
    await deploy({ reference: { release: 2, fence: 2 } });

    await subject.target.retire(first, 1000);

    expect(app !== undefined && isRunning(app)).toBe(false);
    expect(readdirSync(path.dirname(releaseFolder(subject.data, first)))).toEqual(
      expect.arrayContaining(['2-2', 'data']),
    );
    expect(readdirSync(path.dirname(releaseFolder(subject.data, first)))).not.toContain('1-1');
    expect(readFileSync(path.join(keptFolder(subject.data, thingy, staging), 'kept'), 'utf8')).toBe('1');
  });

  it('keeps secrets out of the disk and of every command line', async () => {
    await deploy();
    const found = [...listFiles(subject.data)].filter((file) =>
      /s3cr3t-value|trust-token-value/.test(readFileSync(file, 'utf8')),
    );
    const commands = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => readIfThere(`/proc/${pid}/cmdline`));

    expect(found).toEqual([]);
    expect(commands.filter((command) => /s3cr3t-value|trust-token-value/.test(command))).toEqual([]);
    expect(commands.filter((command) => command.includes(subject.data)).length).toBeGreaterThan(1);
  });

  it('refuses a port that another program has, and releases it again', async () => {
    const blocker = createServer().listen(port, '127.0.0.1');
    await once(blocker, 'listening');

    const refused = subject.target.start(makeSpec(workshop.artifact, port), noAbort);

    await expect(refused).rejects.toMatchObject({
      code: 'deploy-refused',
      message: expect.stringContaining('another program') as string,
    });
    expect((await askFront(subject.data))?.ports).toEqual([]);
    blocker.close();
    await deploy();
  });

  it('refuses a port that another environment has', async () => {
    await deploy();

    const refused = subject.target.start(
      makeSpec(workshop.artifact, port, { reference: { environment: production } }),
      noAbort,
    );

    await expect(refused).rejects.toMatchObject({
      code: 'deploy-refused',
      message: expect.stringContaining('thingy in staging') as string,
    });
    expect(await askJson(url)).toMatchObject({ release: '1' });
  });

  it('moves an environment to another port with the release that asks for it', async () => {
    await deploy();
    const other = await takeFrontPort();

    await deploy({ reference: { release: 2, fence: 2 }, frontPort: other });

    expect(await askJson(`http://127.0.0.1:${other}`)).toMatchObject({ release: '2' });
    await expect
      .poll(() =>
        ask(url).then(
          () => 'answered',
          () => 'refused',
        ),
      )
      .toBe('refused');
  });

  it('keeps two environments apart', async () => {
    await deploy();
    const other = await takeFrontPort();
    await deploy({ reference: { environment: production, release: 5, fence: 5 }, frontPort: other });

    expect(await askJson(url)).toMatchObject({ release: '1' });
    expect(await askJson(`http://127.0.0.1:${other}`)).toMatchObject({ release: '5' });
    expect(await subject.target.list(thingy, production)).toEqual([
      makeReference({ environment: production, release: 5, fence: 5 }),
    ]);
  });

  it('says when the artifact is not there', async () => {
    const spec = makeSpec(path.join(workshop.folder, 'absent.tar'), port);

    await expect(subject.target.start(spec, noAbort)).rejects.toMatchObject({ code: 'blob-missing' });
  });

  it('does not follow a link in the place of a release when it deletes', async () => {
    await deploy();
    const folder = path.dirname(releaseFolder(subject.data, makeReference()));
    symlinkSync(workshop.folder, path.join(folder, '7-7'));

    await subject.target.retire(makeReference({ release: 7, fence: 7 }), 100);

    expect(statSync(workshop.artifact).isFile()).toBe(true);
  });
});

/** As `restore` does with what was live when it read the routes. */
async function startAgain(target: ProcessTarget, reference: ReleaseReference): Promise<void> {
  await target.awaitHealthy(reference, { timeoutMs: 0, signal: noAbort }).catch(() => undefined);
}

function* listFiles(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const place = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* listFiles(place);
    else if (entry.isFile()) yield place;
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
