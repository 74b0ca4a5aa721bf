import { once } from 'node:events';
import { createServer } from 'node:http';
import { isIPv6 } from 'node:net';
import type { Express } from 'express';

export interface ApiServer {
  readonly port: number;
  readonly url: string;
  /** Takes no new request, lets open ones end for `graceMs`, then cuts them. End event streams first (`Api.close`). */
  close(graceMs?: number): Promise<void>;
}

const idleSweepMs = 50;

/** TLS is a proxy's work. */
export async function serveApi(app: Express, port: number, host: string): Promise<ApiServer> {
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 60_000, maxHeaderSize: 16_384 }, app);
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  const bound = typeof address === 'object' && address !== null ? address.port : port;
  return {
    port: bound,
    url: urlOf(host, bound),
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

/** What listens on all addresses is reached by the loopback from here. */
function urlOf(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '::') return `http://127.0.0.1:${port}`;
  return `http://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
