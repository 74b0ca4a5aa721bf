import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

/** A port of the loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.on('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo;
    server.close(() => {
      resolve(port);
    });
  });
  return promise;
}

/** Does somebody listen on this port of the loopback? */
export async function isListening(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port });
  const { promise, resolve } = Promise.withResolvers<boolean>();
  socket.on('connect', () => {
    resolve(true);
  });
  socket.on('error', () => {
    resolve(false);
  });
  const answer = await promise;
  socket.destroy();
  return answer;
}
