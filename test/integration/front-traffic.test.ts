import { once } from 'node:events';
import { Agent, get, request } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { askFront } from '../../src/adapters/front/front-client.ts';
import { answerWith, openFrontBench } from './contracts/front-bench.ts';
import type { FrontBench } from './contracts/front-bench.ts';
import { ask, makeWorkshop } from './contracts/target-builders.ts';
import type { Workshop } from './contracts/target-builders.ts';

describe('the traffic through the front', () => {
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

  it('asks the next replica when one does not take the connection', async () => {
    await bench.goLive(1, [await bench.freePort(), await bench.serve(answerWith(1))]);

    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(bench.url)));

    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  });

  it('answers 502 when no replica takes the connection', async () => {
    await bench.goLive(1, [await bench.freePort(), await bench.freePort()]);

    expect(await ask(bench.url)).toEqual({ status: 502, body: 'thingy in staging does not answer (ECONNREFUSED).\n' });
    expect(await ask(bench.url, { method: 'POST', body: 'x' })).toMatchObject({ status: 502 });
  });

  it('sends a request with a body only once', async () => {
    let seen = 0;
    const dying = await bench.serve((incoming) => {
      seen += 1;
      incoming.socket.destroy();
    });
    await bench.goLive(1, [dying, dying]);

    const answer = await ask(bench.url, { method: 'POST', body: 'buy' });

    expect(answer.status).toBe(502);
    expect(seen).toBe(1);
  });

  it('prefers healthy replicas', async () => {
    const [good, bad] = [
      await bench.serve(answerWith(1)),
      await bench.serve((_incoming, response) => response.writeHead(500).end()),
    ];
    await bench.writeReplica(1, 1, bad, 'unhealthy');
    await bench.writeReplica(1, 0, good);
    await bench.writeRoute({ live: { release: 1, fence: 1, replicas: 2, port: bench.port } });
    await bench.subject.target.restore();

    await expect.poll(async () => (await askFront(bench.data))?.ports[0]?.upstreams.length).toBe(2);
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(bench.url)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
  });

  it('tells the application who asked, and passes nothing of its own connection on', async () => {
    let seen: IncomingHttpHeaders = {};
    const upstream = await bench.serve((incoming, response) => {
      seen = incoming.headers;
      response.setHeader('keep-alive', 'timeout=77').setHeader('x-mine', 'yes').end('ok');
    });
    await bench.goLive(1, [upstream]);
    const headers = {
      connection: 'keep-alive, x-hop',
      'x-hop': '1',
      te: 'trailers',
      'proxy-authorization': 'Basic x',
      'x-forwarded-for': '10.0.0.9',
      host: 'thingy.test',
    };

    const answered = await new Promise<IncomingMessage>((resolve, reject) =>
      get(bench.url, { headers, agent: false }, resolve).on('error', reject),
    );
    await text(answered);

    expect(seen).toMatchObject({
      host: 'thingy.test',
      'x-forwarded-for': '10.0.0.9, 127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'thingy.test',
      'x-forwarded-port': String(bench.port),
    });
    expect(Object.keys(seen)).not.toEqual(expect.arrayContaining(['x-hop']));
    expect([seen['te'], seen['proxy-authorization'], seen['x-hop']]).toEqual([undefined, undefined, undefined]);
    expect(answered.headers).toMatchObject({ 'x-mine': 'yes', connection: 'keep-alive' });
    expect(answered.headers['keep-alive']).not.toBe('timeout=77');
  });

  it('closes the connection of a client that asks for it', async () => {
    await bench.goLive(1, [await bench.serve(answerWith(1))]);

    const socket = connect(bench.port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');

    expect(await text(socket)).toMatch(/connection: close/i); // ends only when the front closes
  });

  it('carries bodies in both directions unchanged', async () => {
    await bench.goLive(1, [await bench.serve((incoming, response) => incoming.pipe(response))]);
    const body = 'x'.repeat(3_000_000);

    expect(await ask(bench.url, { method: 'POST', body })).toEqual({ status: 200, body });
    expect(
      (
        await ask(bench.url, {
          method: 'PUT',
          body,
          headers: { 'transfer-encoding': 'chunked', expect: '100-continue' },
        })
      ).body.length,
    ).toBe(body.length);
  });

  it('carries server-sent events as they come', async () => {
    let push: (line: string) => void = () => undefined;
    const upstream = await bench.serve((_incoming, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      push = (line) => response.write(line);
    });
    await bench.goLive(1, [upstream]);

    const stream = await new Promise<IncomingMessage>((resolve, reject) =>
      get(`${bench.url}/events`, { agent: false }, resolve).on('error', reject),
    );
    const received: string[] = [];
    stream.on('data', (chunk: Buffer) => received.push(chunk.toString())).on('error', () => undefined);
    push('data: 1\n\n');
    await expect.poll(() => received.join('')).toBe('data: 1\n\n');
    push('data: 2\n\n');
    await expect.poll(() => received.join('')).toBe('data: 1\n\ndata: 2\n\n');
    stream.destroy();
    await expect.poll(async () => (await askFront(bench.data))?.open).toEqual({});
  });

  it('carries a WebSocket and counts it as open', async () => {
    const upstream = await bench.serve(answerWith(1), (server) =>
      server.on('upgrade', (_incoming, socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n');
        socket.on('error', () => undefined).pipe(socket);
      }),
    );
    await bench.goLive(1, [upstream]);

    const asking = request(bench.url, { headers: { connection: 'Upgrade', upgrade: 'websocket' }, agent: false });
    asking.end();
    const [, socket] = (await once(asking, 'upgrade')) as [IncomingMessage, Socket, Buffer];
    socket.write('ping');
    const [echo] = (await once(socket, 'data')) as [Buffer];

    expect(echo.toString()).toBe('ping');
    expect((await askFront(bench.data))?.open).toEqual({ 'thingy/staging/1-1': 1 });
    socket.destroy();
    await expect.poll(async () => (await askFront(bench.data))?.open).toEqual({});
  });

  it('refuses a WebSocket to an application that does not run', async () => {
    await bench.goLive(1, [await bench.freePort()]);

    const asking = request(bench.url, { headers: { connection: 'Upgrade', upgrade: 'websocket' }, agent: false });
    asking.end();
    const [answer] = (await once(asking, 'response')) as [IncomingMessage];

    expect(answer.statusCode).toBe(502);
    answer.resume();
  });

  it('shows an answer that was cut off as cut off', async () => {
    const upstream = await bench.serve((_incoming, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('half', () => response.destroy());
    });
    await bench.goLive(1, [upstream]);

    await expect(ask(bench.url)).rejects.toThrow();
  });

  it('survives clients that send nonsense', async () => {
    await bench.goLive(1, [await bench.serve(answerWith(1))]);
    for (const nonsense of [
      '\0\0\0',
      'GET / HTTP/9.9\r\n\r\n',
      `GET /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`,
      'POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n',
    ]) {
      const socket = connect(bench.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.resume().end(nonsense);
      await new Promise((resolve) => socket.once('close', resolve));
    }

    expect(await ask(bench.url)).toMatchObject({ status: 200 });
  });

  it('keeps a client connection over a switch', async () => {
    await bench.goLive(1, [await bench.serve(answerWith(1))]);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const before = await ask(bench.url, { agent });

    await bench.goLive(2, [await bench.serve(answerWith(2))]);
    const after = await ask(bench.url, { agent });
    agent.destroy();

    expect([before.body, after.body]).toEqual(['{"release":1}', '{"release":2}']);
  });
});
