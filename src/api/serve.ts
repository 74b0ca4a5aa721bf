import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Express } from 'express';

export interface ApiServer {
  readonly port: number;
  readonly url: string;
  /** Takes no new request, lets open ones end for `graceMs`, then cuts them. End event streams first (`Api.close`). */
  close(graceMs?: number): Promise<void>;
}

const idleSweepMs = 50;

/** Listens on the loopback only: TLS and other networks are a proxy's work. */
export async function serveApi(app: Express, port: number): Promise<ApiServer> {
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 60_000, maxHeaderSize: 16_384 }, app);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const bound = typeof address === 'object' && address !== null ? address.port : port;
  return {
    port: bound,
    url: `http://127.0.0.1:${bound}`,
    close: async (graceMs = 5_000) => {
      const closed = once(server, 'close');
      server.close();
      // Once is not enough: a connection that answers just now becomes idle later and would hold the server.
      const sweep = setInterval(() => {
        server.closeIdleConnections();
      }, idleSweepMs);
      const cut = setTimeout(() => {
        server.closeAllConnections();
      }, graceMs);
      server.closeIdleConnections();
      await closed;
      clearInterval(sweep);
      clearTimeout(cut);
    },
  };
}
