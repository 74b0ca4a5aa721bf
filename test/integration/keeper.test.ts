import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { findFreePort } from '../../src/adapters/target/process/keeper/free-port.ts';
import { Keeper } from '../../src/adapters/target/process/keeper/keeper.ts';
import type { KeeperOptions } from '../../src/adapters/target/process/keeper/keeper.ts';
import type { KeeperSpec } from '../../src/adapters/target/process/keeper/keeper-spec.ts';
import { readTree } from '../../src/adapters/target/process/keeper/process-tree.ts';
import { readReplicaState } from '../../src/adapters/front/replica-state.ts';
import type { ReplicaState } from '../../src/adapters/front/replica-state.ts';
import { identifyProcess, isRunning, waitForEnd } from '../../src/adapters/host/process-identity.ts';
import { nodePrefixes } from '../../src/adapters/target/process/tool-prefix.ts';
import { findBubblewrap } from './contracts/process-target-subject.ts';
import { ask, makeWorkshop } from './contracts/target-builders.ts';
import type { Workshop } from './contracts/target-builders.ts';

const wait = { timeout: 20_000 };

describe.each(['bubblewrap', 'none'] as const)('a keeper, sandbox %s', (sandbox) => {
  let workshop: Workshop;
  let bwrapPath: string | undefined;
  let folder: string;
  let number = 0;
  let controller: AbortController;
  let running: Promise<void>;

  beforeAll(async () => {
    workshop = makeWorkshop();
    bwrapPath = sandbox === 'bubblewrap' ? await findBubblewrap() : undefined;
  });
  beforeEach(async () => {
    number += 1;
    folder = path.join(workshop.folder, `replica-${sandbox}-${number}`);
    await mkdir(folder);
    controller = new AbortController();
    running = Promise.resolve();
  });
  afterEach(async () => {
    controller.abort();
    await running;
  });
  afterAll(() => workshop.remove());

  function keep(over: Partial<KeeperSpec> = {}, more: Partial<KeeperOptions> = {}): void {
    const identity = identifyProcess(process.pid);
    if (identity === undefined) throw new Error('no /proc');
    const spec: KeeperSpec = {
      application: 'thingy',
      environment: 'staging',
      release: 4,
      artifact: workshop.artifact,
      start: 'node server.mjs',
      health: '/health',
      env: {},
      secrets: {},
      keptFolder: path.join(folder, 'kept'),
      toolPrefixes: [...nodePrefixes(process.execPath)],
      ...(bwrapPath !== undefined && { bwrapPath }),
      ...over,
    };
    const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
    running = new Keeper({
      replicaFolder: folder,
      spec,
      process: identity,
      logger,
      signal: controller.signal,
      ...more,
    }).run();
  }

  async function reach(status: ReplicaState['status']): Promise<ReplicaState> {
    await expect.poll(async () => (await readReplicaState(folder))?.status, wait).toBe(status);
    const state = await readReplicaState(folder);
    if (state === undefined) throw new Error('no state');
    return state;
  }

  function readLog(): string {
    return readFileSync(path.join(folder, 'app.log'), 'utf8');
  }

  it('starts a crashed application again, on the same port', async () => {
    keep();
    const before = await reach('healthy');
    await ask(`http://127.0.0.1:${before.port ?? 0}/crash`).catch(() => undefined);

    await expect.poll(async () => (await readReplicaState(folder))?.restarts, wait).toBe(1);
    const after = await reach('healthy');

    expect(after).toMatchObject({ port: before.port, hasBeenHealthy: true, restarts: 1 });
    expect(after.app).not.toEqual(before.app);
    expect(readLog()).toContain('it ended with exit code 1; starting it again');
  });

  it('says how often and why an application ends', async () => {
    keep({ start: 'echo "no database" >&2; exit 9' });

    await expect.poll(async () => (await readReplicaState(folder))?.restarts, wait).toBeGreaterThan(2);

    expect(await readReplicaState(folder)).toMatchObject({
      status: 'starting',
      hasBeenHealthy: false,
      error: 'it ended with exit code 9',
    });
    expect(readLog()).toContain('no database');
  });

  it('does not believe a server of somebody else on its port, and moves on', async () => {
    const foreign = createServer((_request, response) => response.end('healthy, but not yours'));
    foreign.listen(0, '127.0.0.1');
    await once(foreign, 'listening');
    const taken = (foreign.address() as { port: number }).port;
    const offered = [taken, taken];

    keep(
      { start: 'node server.mjs || sleep 300' },
      { findPort: (wanted) => Promise.resolve(offered.shift() ?? findFreePort(wanted)) },
    );
    const state = await reach('healthy');
    foreign.close();

    expect(state.port).not.toBe(taken);
    expect(readLog()).toContain(`another program took port ${taken}; starting again on another one`);
  });

  it('tries another port after a bind that failed', async () => {
    const foreign = createServer().listen(0, '127.0.0.1');
    await once(foreign, 'listening');
    const taken = (foreign.address() as { port: number }).port;
    const offered = [taken];

    keep({}, { findPort: (wanted) => Promise.resolve(offered.shift() ?? findFreePort(wanted)) });
    const state = await reach('healthy');
    foreign.close();

    expect(state.port).not.toBe(taken);
  });

  it('reports an application that stops answering, and that it answers again', async () => {
    const toggling = `import { createServer } from 'node:http'; import { existsSync } from 'node:fs';
      createServer((q, r) => { r.statusCode = existsSync(process.env.HOME + '/ill') ? 503 : 200; r.end(); }).listen(process.env.PORT, '127.0.0.1');`;
    const artifact = workshop.makeTar(`toggling-${sandbox}`, { 'server.mjs': toggling });
    keep({ artifact });
    const before = await reach('healthy');

    execFileSync('touch', [path.join(folder, 'kept', 'ill')]);
    const ill = await reach('unhealthy');
    execFileSync('rm', [path.join(folder, 'kept', 'ill')]);
    const well = await reach('healthy');

    expect(ill.error).toBe('GET /health answered 503');
    expect([ill.app, well.app]).toEqual([before.app, before.app]);
    expect(well.error).toBeUndefined();
  });

  it('lets an application end its requests, also behind a shell', async () => {
    keep({ start: 'echo before; node server.mjs; echo after' });
    const { port = 0 } = await reach('healthy');
    const slow = ask(`http://127.0.0.1:${port}/slow?ms=800`);
    await expect.poll(() => readLog()).toContain('slow begins');

    controller.abort();
    await running;

    await expect(slow).resolves.toMatchObject({ status: 200 });
    expect(readLog()).toContain('release 4 ends');
    expect(await readReplicaState(folder)).toMatchObject({ status: 'stopped' });
  });

  it('kills an application that does not end, with everything that it started', async () => {
    const stubborn =
      "trap '' TERM; (trap '' TERM; setsid sh -c 'sleep 301' &) ; node server.mjs & while true; do sleep 302; done";
    keep({ start: stubborn });
    const { app } = await reach('healthy');
    if (app === undefined) throw new Error('no application');
    const tree = readTree(app);

    controller.abort();
    await running;

    expect(await waitForEnd(tree, 2000)).toBe(true);
    expect(isRunning(app)).toBe(false);
  });

  it('masks secrets in the log, also in pieces and over several lines', async () => {
    const secrets = { A: 'first-secret', PEM: 'line-one-of-key\nline-two-of-key' };
    keep({ start: `printf first-; sleep 0.2; printf 'secret\\n'; echo "$PEM"; exec node server.mjs`, secrets });

    await reach('healthy');

    expect(readLog()).not.toMatch(/first-secret|line-one|line-two/);
    expect(readLog()).toContain('[redacted]');
  });

  it('masks secrets as they are written down elsewhere: encoded, and as JSON (I7)', async () => {
    const secrets = { A: 'first "secret" of many' };
    const base64 = Buffer.from(secrets.A).toString('base64');
    const json = JSON.stringify(secrets.A).slice(1, -1);
    keep({ start: `printf %s "$A" | base64; echo '${json}' >&2; exec node server.mjs`, secrets });

    await reach('healthy');

    await expect.poll(() => readLog().split('[redacted]').length, wait).toBe(3);
    expect(readLog()).not.toContain(base64.slice(0, 20));
    expect(readLog()).not.toContain(json);
  });

  it('limits the log and says what is gone', async () => {
    keep({
      start: `i=0; while [ $i -lt 20 ]; do head -c 1000000 /dev/zero | tr '\\0' x; echo; i=$((i+1)); done; echo done; exec node server.mjs`,
    });

    await reach('healthy');

    const sizes = ['app.log', 'app.log.1'].map((name) => readFileSync(path.join(folder, name)).length);
    expect(Math.max(...sizes)).toBeLessThan(7_000_000);
    expect(readLog()).toMatch(/\[loam\] the log is limited: \d{7,8} bytes of older output are gone/);
    expect(readLog()).toContain('done');
  });

  it('ends while it waits to start again', async () => {
    keep({ start: 'exit 1' });
    await expect.poll(async () => (await readReplicaState(folder))?.restarts, wait).toBeGreaterThan(3);

    controller.abort();
    await running;

    expect((await readReplicaState(folder))?.status).toBe('stopped');
  });

  it('gives up on an artifact that is none', async () => {
    keep({ artifact: path.join(import.meta.dirname, 'keeper.test.ts') });

    const state = await reach('stopped');

    expect(state).toMatchObject({ isHopeless: true });
    expect(state.error).toContain('cannot be unpacked');
    expect(existsSync(path.join(folder, 'app.new'))).toBe(false);
  });
});

describe('an application in bubblewrap', () => {
  it('sees neither the home of the user, nor other releases, nor the data folder', async () => {
    const workshop = makeWorkshop();
    const folder = path.join(workshop.folder, '0');
    await mkdir(folder);
    const controller = new AbortController();
    const identity = identifyProcess(process.pid);
    if (identity === undefined) throw new Error('no /proc');
    const script = `ls -a /root /home ${workshop.folder} /proc/${process.pid}/environ /etc/shadow; ls / | tr '\\n' ' '; id -u; grep Cap /proc/self/status; touch /usr/x; echo over; exec node server.mjs`;
    const running = new Keeper({
      replicaFolder: folder,
      process: identity,
      logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
      signal: controller.signal,
      spec: {
        application: 'thingy',
        environment: 'staging',
        release: 1,
        artifact: workshop.artifact,
        start: script,
        health: '/health',
        env: {},
        secrets: {},
        keptFolder: path.join(workshop.folder, 'kept'),
        toolPrefixes: [...nodePrefixes(process.execPath)],
        bwrapPath: await findBubblewrap(),
      },
    }).run();
    await expect.poll(async () => (await readReplicaState(folder))?.status, wait).toBe('healthy');
    const log = readFileSync(path.join(folder, 'app.log'), 'utf8');
    controller.abort();
    await running;
    workshop.remove();

    for (const place of ['/home', workshop.folder, `/proc/${process.pid}/environ`, '/etc/shadow']) {
      expect(log).toMatch(new RegExp(`cannot access '${place}'`));
    }
    expect(log).toMatch(/CapEff:\s+0{16}\n/);
    expect(log).toContain('Read-only file system');
  });
});

function ignore(): void {
  // The state and the log of the application say enough.
}
