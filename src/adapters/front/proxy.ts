import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { Socket } from 'node:net';
import { createProxyServer } from 'httpxy';
import type { Logger } from '../../ports/logger.ts';
import { addForwarded, asksToClose, isRepeatable, stripHopByHop } from './headers.ts';
import type { LiveRelease } from './upstreams.ts';

/** What a port of the front leads to at this moment. */
export interface Destination {
  readonly port: number;
  readonly name: string;
  release(): LiveRelease | undefined;
  isClosing(): boolean;
}

interface Exchange {
  readonly destination: Destination;
  readonly canRepeat: boolean;
  readonly wantsClose: boolean;
  /** Ports of the replicas that were asked. */
  readonly tried: Set<number>;
  attempts: number;
  done: () => void;
}

/** Carries requests to the replicas of the live release: HTTP, server-sent events and WebSocket. */
export class Proxy {
  readonly #logger: Logger;
  readonly #exchanges = new WeakMap<IncomingMessage, Exchange>();
  readonly #proxy = createProxyServer();

  constructor(logger: Logger) {
    this.#logger = logger;
    this.#proxy.on('error', (error, request, response) => this.#handleFailure(error, request, response));
    this.#proxy.on('proxyRes', (incoming, request, response) => {
      const exchange = this.#exchanges.get(request);
      stripHopByHop(incoming.headers);
      const closes = exchange?.wantsClose === true || exchange?.destination.isClosing() === true;
      incoming.headers.connection = closes ? 'close' : 'keep-alive';
      // A stream of events may be silent for long: its head must not wait for the first one.
      if (incoming.headers['content-length'] === undefined) queueMicrotask(() => flushHead(response));
    });
  }

  handleRequest(destination: Destination, request: IncomingMessage, response: ServerResponse): void {
    const exchange = startExchange(destination, request);
    this.#exchanges.set(request, exchange);
    response.once('close', () => exchange.done());
    stripHopByHop(request.headers);
    delete request.headers.expect; // this server has said 100 already
    addForwarded(request, destination.port);
    this.#forward(exchange, request, response);
  }

  handleUpgrade(destination: Destination, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const release = destination.release();
    const upstream = release?.pick(new Set());
    socket.on('error', () => undefined); // a client that goes away in the middle
    if (release === undefined || upstream === undefined || !(socket instanceof Socket)) {
      refuseUpgrade(socket, destination);
      return;
    }
    const { upgrade } = request.headers;
    this.#exchanges.set(request, startExchange(destination, request));
    socket.once('close', release.begin());
    stripHopByHop(request.headers);
    Object.assign(request.headers, { connection: 'Upgrade', upgrade });
    addForwarded(request, destination.port);
    const target = { host: '127.0.0.1', port: upstream.port };
    void this.#proxy.ws(request, socket, { target, agent: false }, head).catch(() => socket.destroy());
  }

  #forward(exchange: Exchange, request: IncomingMessage, response: ServerResponse): void {
    const release = exchange.destination.release();
    const upstream = release?.pick(exchange.tried);
    if (release === undefined || upstream === undefined) {
      answerWithout(exchange.destination, release, response);
      return;
    }
    exchange.tried.add(upstream.port);
    exchange.attempts += 1;
    exchange.done();
    exchange.done = release.begin();
    // What cannot be repeated, and what is repeated, gets a connection of its own: a kept one may close under it.
    const agent = exchange.canRepeat && exchange.attempts === 1 ? release.agent : false;
    const target = { host: '127.0.0.1', port: upstream.port };
    void this.#proxy.web(request, response, { target, agent }).catch(() => undefined);
  }

  #handleFailure(error: Error, request?: IncomingMessage, response?: ServerResponse | Socket): void {
    const exchange = request && this.#exchanges.get(request);
    if (exchange === undefined || request === undefined || response === undefined) return;
    if (response instanceof Socket) refuseUpgrade(response, exchange.destination);
    else if (response.headersSent || response.destroyed) response.destroy();
    else if (mayRepeat(exchange, error)) this.#forward(exchange, request, response);
    else {
      const { name } = exchange.destination;
      this.#logger.warn({ environment: name, reason: error.message }, 'an application did not answer');
      answer(response, 502, `${name} does not answer (${codeOf(error)}).`);
    }
  }
}

function startExchange(destination: Destination, request: IncomingMessage): Exchange {
  return {
    destination,
    canRepeat: isRepeatable(request),
    wantsClose: asksToClose(request.headers),
    tried: new Set(),
    attempts: 0,
    done: () => undefined,
  };
}

/** Once, and only for requests that are harmless when they are done twice: the replica may have died with the request in its hands. */
function mayRepeat({ canRepeat, attempts }: Exchange, error: Error): boolean {
  return canRepeat && attempts < 2 && ['ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(codeOf(error));
}

function flushHead(response: ServerResponse): void {
  if (!response.headersSent && !response.destroyed) response.flushHeaders();
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

function answerWithout(destination: Destination, release: LiveRelease | undefined, response: ServerResponse): void {
  if (release === undefined) answer(response, 503, `${destination.name} has no live release yet.`);
  else
    answer(
      response,
      502,
      `${destination.name} does not run at the moment; release ${release.live.release} is being started again.`,
    );
}

function answer(response: ServerResponse, status: 502 | 503, text: string): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'retry-after': '1',
    connection: 'close', // the body of the request may not have been read
  });
  response.end(`${text}\n`);
}

function refuseUpgrade(socket: Duplex, destination: Destination): void {
  if (socket.writable) {
    const text = `${destination.name} does not answer.\n`;
    const head = ['HTTP/1.1 502 Bad Gateway', 'content-type: text/plain; charset=utf-8', 'connection: close'];
    socket.end([...head, `content-length: ${Buffer.byteLength(text)}`, '', text].join('\r\n'));
  }
}
