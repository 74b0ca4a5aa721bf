import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { portSocketName } from './layout.ts';
import type { Destination, Proxy } from './proxy.ts';

export interface PortListener {
  /** Why nothing listens on the TCP port; undefined when it does. */
  readonly error: string | undefined;
  /** Stops accepting; resolves once every open request has ended or `drainMs` is over. */
  close(drainMs: number): Promise<void>;
}

/** Listens for one environment on its TCP port and its unix socket. The working folder is the front's, so that the socket's path stays short. */
export async function listen(destination: Destination, proxy: Proxy): Promise<PortListener> {
  const tcp = createPortServer(destination, proxy);
  const error = await startListening(tcp, { host: '127.0.0.1', port: destination.port });
  if (error !== undefined) return { error, close: () => Promise.resolve() };

  const socketName = portSocketName(destination.port);
  const unix = createPortServer(destination, proxy);
  await rm(socketName, { force: true }); // a killed front left it, and only one front lives
  // For all users: a job has another uid than Loam. Who has no way through the data folder, which is private, needs the socket bound into a sandbox.
  const socketError = await startListening(unix, { path: socketName, readableAll: true, writableAll: true });
  return {
    error: socketError,
    async close(drainMs) {
      await Promise.all([drain(tcp, drainMs), drain(unix, drainMs)]);
    },
  };
}

function createPortServer(destination: Destination, proxy: Proxy): Server {
  const server = createServer(
    { requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 65_000 },
    (request, response) => proxy.handleRequest(destination, request, response),
  );
  server.on('upgrade', (request, socket, head) => proxy.handleUpgrade(destination, request, socket, head));
  return server;
}

async function startListening(
  server: Server,
  place:
    | { readonly host: string; readonly port: number }
    | { readonly path: string; readonly readableAll: boolean; readonly writableAll: boolean },
): Promise<string | undefined> {
  server.listen(place);
  try {
    await once(server, 'listening');
    server.on('error', () => undefined); // a failing accept, such as too many open files: the next one may succeed
    return undefined;
  } catch (error) {
    return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : String(error);
  }
}

async function drain(server: Server, drainMs: number): Promise<void> {
  if (!server.listening) return;
  const over = new AbortController();
  server.close(() => over.abort());
  const end = performance.now() + drainMs;
  while (!over.signal.aborted && performance.now() < end) {
    server.closeIdleConnections(); // repeated: a kept connection becomes idle only after its request
    await delay(20, undefined, { signal: over.signal }).catch(() => undefined);
  }
  server.closeAllConnections();
}
