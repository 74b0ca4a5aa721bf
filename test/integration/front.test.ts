import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { askFront } from '../../src/adapters/front/front-client.ts';
import { writeJson } from '../../src/adapters/front/json-file.ts';
import { routeFile, routesFolder } from '../../src/adapters/front/layout.ts';
import { answerWith, isListening, openFrontBench } from './contracts/front-bench.ts';
import type { FrontBench } from './contracts/front-bench.ts';
import {
  ask,
  makeWorkshop,
  production,
  staging,
  startLoad,
  takeFrontPort,
  thingy,
} from './contracts/target-builders.ts';
import type { Workshop } from './contracts/target-builders.ts';

describe('the front', () => {
  let workshop: Workshop;
  let bench: FrontBench;

  beforeAll(() => {
    workshop = makeWorkshop();
  });
  beforeEach(async () => {
    bench = await openFrontBench(workshop);
  });
  afterEach(() => bench.close());
  afterAll(() => workshop.remove());

  it('serves behind a folder that is deeper than a unix socket may be', async () => {
    await bench.goLive(1, [await bench.serve(answerWith(1))]);

    expect(bench.subject.target.socketPath(bench.port).length).toBeGreaterThan(107);
    expect(existsSync(bench.subject.target.socketPath(bench.port))).toBe(true);
    expect(await ask(bench.url)).toEqual({ status: 200, body: '{"release":1}' });
  });

  it('follows a switch under load without a failed request, again and again', async () => {
    const upstreams = [await bench.serve(answerWith(0)), await bench.serve(answerWith(1))];
    await bench.goLive(1, [upstreams[1] ?? 0]);
    const stop = startLoad(bench.url);

    for (const release of [2, 3, 4, 5, 6]) await bench.goLive(release, [upstreams[release % 2] ?? 0]);
    const load = await stop();

    expect(load.failures).toEqual([]);
  });

  it('tells its open requests by release until the last one has ended', async () => {
    const held: (() => void)[] = [];
    const slow = await bench.serve((_incoming, response) => held.push(() => response.end('{"release":1}')));
    await bench.goLive(1, [slow]);
    const asked = ask(bench.url);
    await expect.poll(() => held.length).toBe(1);

    await bench.goLive(2, [await bench.serve(answerWith(2))]);
    const during = await askFront(bench.data);
    for (const release of held) release();
    const answer = await asked;

    expect(during?.open).toEqual({ 'thingy/staging/1-1': 1 });
    expect(answer).toEqual({ status: 200, body: '{"release":1}' });
    await expect.poll(async () => (await askFront(bench.data))?.open).toEqual({});
  });

  it('closes its kept connections to a release that was switched away', async () => {
    let connections = 0;
    const first = await bench.serve(answerWith(1), (server) =>
      server.on('connection', (socket) => {
        connections += 1;
        socket.on('close', () => (connections -= 1));
      }),
    );
    await bench.goLive(1, [first]);
    await ask(bench.url);
    expect(connections).toBe(1);

    await bench.goLive(2, [await bench.serve(answerWith(2))]);

    await expect.poll(() => connections).toBe(0);
  });

  it('follows a replica to another port', async () => {
    await bench.goLive(1, [await bench.serve(answerWith(1))]);

    await bench.writeReplica(1, 0, await bench.serve(answerWith(7)));

    await expect.poll(async () => (await ask(bench.url)).body).toBe('{"release":7}');
  });

  it('serves the other routes when a port is taken by another program, and listens once it is free', async () => {
    const taken = await takeFrontPort();
    const blocker = createServer().listen(taken, '127.0.0.1');
    await once(blocker, 'listening');
    await bench.writeRoute({ environment: production, ports: [taken] });
    await bench.goLive(1, [await bench.serve(answerWith(1))]).catch(() => undefined);

    await expect
      .poll(async () => (await askFront(bench.data))?.ports.find((one) => one.port === taken)?.error)
      .toBe('EADDRINUSE');
    await expect.poll(async () => (await ask(bench.url)).status).toBe(200);
    blocker.close();
    await expect.poll(async () => (await ask(`http://127.0.0.1:${taken}`)).status).toBe(503);
  });

  it('ignores a route file that is damaged', async () => {
    await bench.goLive(1, [await bench.serve(answerWith(1))]);
    await mkdir(routesFolder(bench.data), { recursive: true });
    await writeJson(routeFile(bench.data, 'other', 'staging'), { ports: 'all' });

    expect(await askFront(bench.data)).toMatchObject({ ports: [{ port: bench.port }] });
    expect(await ask(bench.url)).toMatchObject({ status: 200 });
  });

  it('stops listening when a route goes, and ends what is open', async () => {
    const held: (() => void)[] = [];
    await bench.goLive(1, [await bench.serve((_incoming, response) => held.push(() => response.end('late')))]);
    const asked = ask(bench.url);
    await expect.poll(() => held.length).toBe(1);

    await rm(routeFile(bench.data, thingy, staging));
    await expect.poll(() => isListening(bench.port)).toBe(false);
    for (const release of held) release();

    expect(await asked).toEqual({ status: 200, body: 'late' });
  });

  it('is one per data folder, and records who it is', async () => {
    await bench.goLive(1, [await bench.serve(answerWith(1))]);
    const before = await askFront(bench.data);

    await Promise.all([bench.subject.target.restore(), bench.subject.reopen().restore()]);

    const recorded = JSON.parse(await readFile(`${bench.data}/front/front.json`, 'utf8')) as unknown;
    expect((await askFront(bench.data))?.process).toEqual(before?.process);
    expect(recorded).toEqual(before?.process);
  });

  it('ends its open requests before it ends', async () => {
    const held: (() => void)[] = [];
    await bench.goLive(1, [await bench.serve((_incoming, response) => held.push(() => response.end('late')))]);
    const asked = ask(bench.url);
    await expect.poll(() => held.length).toBe(1);

    const down = bench.subject.target.down();
    await expect.poll(() => isListening(bench.port)).toBe(false);
    for (const release of held) release();

    expect(await asked).toEqual({ status: 200, body: 'late' });
    await down;
    expect(existsSync(`${bench.data}/front/front.json`)).toBe(false);
  });
});
