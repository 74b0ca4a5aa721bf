import { closeSync, openSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';

/**
 * Runs inside a job's sandbox: `forward.ts PORT SOCKET ...` carries connections to 127.0.0.1:PORT to a unix socket that was bound in. Closing its output tells
 * that it listens. A port that is taken is left alone: with the host's network the server itself listens there.
 */
function listen(port: number, socketPath: string): Promise<Server | undefined> {
  const { promise, resolve } = Promise.withResolvers<Server | undefined>();
  const server = createServer({ allowHalfOpen: true }, (inner) => {
    const outer = connect({ path: socketPath, allowHalfOpen: true });
    inner.on('error', () => outer.destroy());
    outer.on('error', () => inner.destroy());
    inner.pipe(outer).pipe(inner);
  });
  server.once('error', () => resolve(undefined));
  server.listen(port, '127.0.0.1', () => resolve(server));
  return promise;
}

const pairs = process.argv.slice(2);
for (let index = 0; index + 1 < pairs.length; index += 2) await listen(Number(pairs[index]), pairs[index + 1] ?? '');
closeSync(1);
openSync('/dev/null', 'w'); // takes the number 1: a socket must not get it
