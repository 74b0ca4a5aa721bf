import { createServer } from 'node:http';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import type { Logger } from '../../ports/logger.ts';
import { writeJson } from './json-file.ts';
import { controlSocketName, frontFile, frontFolder, routesFolder } from './layout.ts';
import { identifyProcess } from '../host/process-identity.ts';
import { holdName } from './single-instance.ts';
import { Front } from './front.ts';

export interface RunFrontOptions {
  /** Absolute path of the data folder. */
  readonly data: string;
  readonly logger: Logger;
  /** Resolves when the front shall end. */
  readonly ended: Promise<unknown>;
  readonly drainMs: number;
}

/** The front daemon, from start to end. False: another front serves this data folder. */
export async function runFront(options: RunFrontOptions): Promise<boolean> {
  const { data, logger } = options;
  const release = await holdName('front', data);
  if (release === undefined) return false;
  const identity = identifyProcess(process.pid);
  if (identity === undefined) throw new Error('this system has no /proc');

  await mkdir(routesFolder(data), { recursive: true });
  process.chdir(frontFolder(data)); // paths of unix sockets are limited to 107 bytes; relative ones stay short
  const front = new Front({ data, process: identity, logger });
  await front.start();
  const control = createServer((request, response) => {
    // An answer about what the files say now, not about what they said at the last poll.
    void front.apply().then(() => {
      response.writeHead(request.url === '/status' ? 200 : 404, { 'content-type': 'application/json' });
      response.end(request.url === '/status' ? JSON.stringify(front.status()) : '{}');
    });
  });
  await rm(controlSocketName, { force: true });
  control.listen(controlSocketName);
  await once(control, 'listening');
  await writeJson(frontFile(data), identity);
  logger.info({ data }, 'the front runs');

  await options.ended;
  await front.close(options.drainMs);
  control.close();
  control.closeAllConnections();
  await rm(controlSocketName, { force: true });
  await rm(frontFile(data), { force: true });
  release();
  logger.info({}, 'the front ended');
  return true;
}
