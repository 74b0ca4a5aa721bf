// I2 and I8 of jobs in containers: what the engine, the kernel, a person or the death of a worker does to them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import Docker from 'dockerode';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import type { DockerExecutor } from '../../src/adapters/executor/docker/docker-executor.ts';
import { createDockerExecutor } from '../../src/adapters/executor/docker/docker-executor.ts';
import { ExecutorSwitch } from '../../src/adapters/executor/job/executor-switch.ts';
import { makeDockerSubject } from '../support/docker-subject.ts';
import type { DockerSubject } from '../support/docker-subject.ts';
import { killEngine, letEngineStart, startEngine } from '../support/engine-host.ts';
import type { EngineHost } from '../support/engine-host.ts';
import { followJob, followUntil, makeJob, runJob } from '../support/jobs.ts';
import { findSandboxTools, makeProcessSubject } from '../support/sandbox-tools.ts';
import { knock } from './contracts/executor-isolation.ts';

const workerFile = path.resolve(import.meta.dirname, '../support/executor-worker.ts');
const waiting = { timeout: 30_000, interval: 20 };

let host: EngineHost;
let subject: DockerSubject;
let executor: DockerExecutor;
let docker: Docker;

beforeAll(async () => {
  const own = await startEngine();
  host = own.host;
  subject = await makeDockerSubject(own.engine, { memoryBytes: 64 * 1024 ** 2 });
  executor = await subject.open();
  docker = new Docker({ socketPath: subject.engine.socketPath });
}, 400_000);
afterEach(async () => {
  const left = await executor.list();
  for (const key of left) await executor.remove(key); // or the next test would fail too
  expect(left).toEqual([]);
  await vi.waitFor(() => expect(subject.processes()).toEqual([]), waiting);
  expect(await docker.listContainers({ all: true })).toEqual([]);
});
afterAll(async () => {
  await subject.close();
  await host.stop();
});

async function onlyContainer(): Promise<Docker.Container> {
  const found = await docker.listContainers({ all: true });
  const [first] = found;
  if (first === undefined || found.length > 1) throw new Error(`${String(found.length)} containers, not one`);
  return docker.getContainer(first.Id);
}

it('leaves a job running when its worker is killed, for another to go on with at the offset (I2)', async () => {
  const job = makeJob(
    'echo once >> "$LOAM_OUT/ledger"; for i in $(seq 100); do echo line $i; sleep 0.01; done; exit 9',
  );
  const worker = spawn(process.execPath, [workerFile, JSON.stringify({ options: subject.options, job })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let written = '';
  worker.stdout.on('data', (bytes: Buffer) => (written += bytes.toString()));
  await vi.waitFor(() => expect(written).toContain('line 7\n'), waiting);

  worker.kill('SIGKILL');
  await once(worker, 'close');
  const seen = written.slice(written.indexOf('\n') + 1);
  const again = await executor.start(job);
  const { end, text } = await followJob(executor, job.key, Buffer.byteLength(seen));
  const ledger = readFileSync((await executor.collect(job.key, 'ledger')) ?? '', 'utf8');
  await executor.remove(job.key);

  expect(seen + text).toBe(Array.from({ length: 100 }, (_, i) => `line ${i + 1}\n`).join(''));
  expect([again.created, end, ledger]).toEqual([false, { type: 'exited', exitCode: 9 }, 'once\n']);
});

it('starts what was made and not started', async () => {
  const job = makeJob('echo ran; exit 8');
  const socketPath = path.join(subject.folder, 'cut.sock');
  const cut = createServer((inner) => {
    const outer = connect(subject.engine.socketPath);
    inner.on('data', (bytes: Buffer) =>
      /^POST \S+\/start/.test(bytes.toString()) ? inner.destroy() : outer.write(bytes),
    );
    inner.on('error', () => undefined).on('close', () => outer.destroy());
    outer.on('error', () => inner.destroy()).pipe(inner);
  });
  cut.listen(socketPath);
  await once(cut, 'listening');
  const dying = await createDockerExecutor({ ...subject.options, socketPath });

  await expect(dying.start(job)).rejects.toMatchObject({ code: 'executor-unavailable' });
  cut.close();
  expect((await (await onlyContainer()).inspect()).State.Status).toBe('created');
  await executor.start(job);

  expect(await followJob(executor, job.key)).toEqual({ end: { type: 'exited', exitCode: 8 }, text: 'ran\n' });
  await executor.remove(job.key);
});

it('runs a job once, also when somebody starts its container again', async () => {
  const job = makeJob('echo ran; exit 3');
  await executor.start(job);
  const first = await followJob(executor, job.key);
  const container = await onlyContainer();
  await container.wait();

  await container.start();
  await container.wait();

  expect(await followJob(executor, job.key)).toEqual(first);
  await executor.remove(job.key);
});

it.each(['kill', 'remove'] as const)('calls a job lost when somebody %ss its container', async (what) => {
  const job = makeJob('echo up; sleep 70');
  await executor.start(job);
  await followUntil(executor, job.key, 'up\n');
  const following = followJob(executor, job.key);
  const container = await onlyContainer();

  await (what === 'kill' ? container.kill() : container.remove({ force: true }));

  expect(await following).toEqual({ end: { type: 'lost' }, text: 'up\n' });
  expect(await executor.start(job)).toEqual({ created: false });
  expect((await followJob(executor, job.key)).end).toEqual({ type: 'lost' });
  await executor.remove(job.key);
  expect(await executor.start({ ...job, cmd: 'exit 4' })).toEqual({ created: true });
  expect((await followJob(executor, job.key)).end).toEqual({ type: 'exited', exitCode: 4 });
  await executor.remove(job.key);
});

it('tells what the kernel killed for its memory from what was killed', async () => {
  const { end } = await runJob(executor, `node -e "const all = []; for (;;) all.push(Buffer.alloc(1e6, 1))"`);

  expect(end).toEqual({ type: 'out-of-memory' });
});

it('says which image is missing, or why it is of no use, and leaves nothing', async () => {
  const absent = await createDockerExecutor({ ...subject.options, image: 'loam-test/absent:1' });
  const job = makeJob('true');

  await expect(absent.check()).rejects.toMatchObject({ code: 'image-missing' });
  await expect(absent.start(job)).rejects.toMatchObject({
    code: 'image-missing',
    message: expect.stringContaining('docker pull loam-test/absent:1') as string,
  });
  await absent.remove(job.key);

  const shellless = 'loam-test/no-shell:1';
  const noShell = await docker.importImage(Readable.from([Buffer.alloc(1024)]), {
    repo: 'loam-test/no-shell',
    tag: '1',
  });
  await text(noShell);
  const useless = await createDockerExecutor({ ...subject.options, image: shellless });
  await expect(useless.start(job)).rejects.toMatchObject({ code: 'image-unusable' });
  await useless.remove(job.key);
  await docker.getImage(shellless).remove();
});

it('says that no engine answers, which is tried again', async () => {
  const alone = await createDockerExecutor({
    ...subject.options,
    socketPath: path.join(subject.folder, 'nobody.sock'),
  });

  await expect(alone.check()).rejects.toMatchObject({ code: 'executor-unavailable' });
  await expect(alone.start(makeJob('true'))).rejects.toMatchObject({ code: 'executor-unavailable' });
});

it('loses a job with its engine, says so as a failure of the engine first, and leaves no orphan (K6)', async () => {
  const job = makeJob('echo up; sleep 71');
  await executor.start(job);
  await followUntil(executor, job.key, 'up\n');
  const following = followJob(executor, job.key);
  const failing = expect(following).rejects.toMatchObject({ code: 'executor-unavailable' });

  await killEngine(subject.engine.folder);
  await failing;
  await expect(executor.start(job)).rejects.toMatchObject({ code: 'executor-unavailable' });
  await letEngineStart(subject.engine.folder);

  expect(await executor.start(job)).toEqual({ created: false });
  expect(await followJob(executor, job.key)).toEqual({ end: { type: 'lost' }, text: 'up\n' });
  await executor.remove(job.key);
});

it('shows a job neither the engine nor its gateway’s loopback (I8)', async () => {
  const server = createServer((socket) => socket.end('reached\n')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const gateway = `$(ip route | awk '/default/ { print $3 }')`;

  const { text: said } = await runJob(
    executor,
    `${knock(gateway, port)}; ls /var/run/docker.sock '${subject.engine.socketPath}' '${subject.folder}' 2>/dev/null; echo end`,
    { network: 'egress' },
  );
  server.close();

  expect(said).toMatch(/^refused \w+\nend\n$/);
});

it('limits what a job may use, and gives it no right', async () => {
  const job = makeJob('sleep 72');
  await executor.start(job);
  const { HostConfig: given, Config: config } = await (await onlyContainer()).inspect();
  await executor.remove(job.key);

  expect(given).toMatchObject({
    ...{ Memory: 64 * 1024 ** 2, MemorySwap: 64 * 1024 ** 2, NanoCpus: 1e9, PidsLimit: 4101, ReadonlyRootfs: true },
    ...{ CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges:true'], NetworkMode: 'none', Privileged: false },
  });
  expect(config.User).toMatch(/^1700\d{3}:1700000$/);
  expect(config.Labels).toMatchObject({ 'loam.run': job.key.run, 'loam.task': 'test', 'loam.attempt': '1' });
});

it('goes on with jobs that another executor began', async () => {
  const processes = await makeProcessSubject(await findSandboxTools());
  const other = await processes.open();
  const [inContainer, inProcess] = [makeJob('echo a; exit 5'), makeJob('echo b; exit 6')];
  await executor.start(inContainer);
  const either = new ExecutorSwitch(other, executor);
  await either.start(inProcess);

  expect(await either.list()).toEqual([inProcess.key, inContainer.key]);
  expect(await either.start(inContainer)).toEqual({ created: false });
  expect(await other.list()).toEqual([inProcess.key]);
  expect(await followJob(either, inContainer.key)).toEqual({ end: { type: 'exited', exitCode: 5 }, text: 'a\n' });
  expect(await followJob(either, inProcess.key)).toEqual({ end: { type: 'exited', exitCode: 6 }, text: 'b\n' });
  for (const { key } of [inContainer, inProcess]) await either.remove(key);
  expect(await either.list()).toEqual([]);
  await processes.close();
});
