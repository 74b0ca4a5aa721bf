// The one Docker engine of a test run, for the suites that ask for it: `useEngine` starts it when the first one does.
import { rmSync, mkdtempSync } from 'node:fs';
import { createServer, get } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { inject } from 'vitest';
import type { TestProject } from 'vitest/node';
import { startEngine } from './engine-host.ts';
import type { OwnEngine, TestEngine } from './engine-host.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A unix socket: who asks there gets the engine. */
    engineDoor: string;
  }
}

/** In a test or its hooks. The first call of a test run takes some seconds; the engine is shared, so name and label what you make, and remove it. */
export async function useEngine(): Promise<TestEngine> {
  const { promise, resolve, reject } = Promise.withResolvers<{ readonly status: number; readonly body: string }>();
  const request = get({ socketPath: inject('engineDoor'), path: '/' }, (response) => {
    text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
  });
  request.on('error', reject);
  const { status, body } = await promise;
  if (status !== 200) throw new Error(body);
  return JSON.parse(body) as TestEngine;
}

interface Shared {
  users: number;
  readonly door: string;
  readonly close: () => Promise<void>;
}

const shared = globalThis as { loamTestEngine?: Promise<Shared> };

/** Runs in the process of the test run, once for each project; the engine is shared through the global object. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const door = await (shared.loamTestEngine ??= openDoor());
  door.users += 1;
  project.provide('engineDoor', door.door);
  return async () => {
    door.users -= 1;
    if (door.users === 0) await door.close();
  };
}

async function openDoor(): Promise<Shared> {
  const folder = mkdtempSync(path.join(tmpdir(), 'loam-engine-door-'));
  const door = path.join(folder, 'door');
  let started: Promise<OwnEngine> | undefined;
  const server = createServer((_, response) => {
    started ??= startEngine();
    started.then(
      ({ engine }) => response.end(JSON.stringify(engine)),
      (error: unknown) => response.writeHead(500).end(error instanceof Error ? error.message : String(error)),
    );
  });
  server.listen(door);
  await once(server, 'listening');
  return {
    users: 0,
    door,
    async close() {
      server.close();
      await started?.then(({ host }) => host.stop()).catch(() => undefined);
      rmSync(folder, { recursive: true });
    },
  };
}
