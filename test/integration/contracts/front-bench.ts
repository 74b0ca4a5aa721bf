import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect } from 'vitest';
import { askFront } from '../../../src/adapters/front/front-client.ts';
import type { Route } from '../../../src/adapters/front/route.ts';
import { writeJson } from '../../../src/adapters/front/json-file.ts';
import { writeReplicaState } from '../../../src/adapters/front/replica-state.ts';
import { releaseFolder, replicaFolder, routeFile, routesFolder } from '../../../src/adapters/front/layout.ts';
import { identifyProcess } from '../../../src/adapters/host/process-identity.ts';
import { openProcessTarget } from './process-target-subject.ts';
import type { ProcessTargetSubject } from './process-target-subject.ts';
import { staging, takeFrontPort, thingy } from './target-builders.ts';
import type { Workshop } from './target-builders.ts';

/** The front alone: route files and replica states are written by hand, the replicas are servers of the test. */
export interface FrontBench {
  readonly subject: ProcessTargetSubject;
  readonly data: string;
  readonly port: number;
  readonly url: string;
  /** A replica; gives its port. */
  serve(listener: RequestListener, onServer?: (server: Server) => unknown): Promise<number>;
  /** A port on which nobody listens. */
  freePort(): Promise<number>;
  writeReplica(release: number, replica: number, upstream: number, status?: 'healthy' | 'unhealthy'): Promise<void>;
  writeRoute(over?: Partial<Route>): Promise<void>;
  /** Makes a release live and waits until the front serves it. */
  goLive(release: number, upstreams: readonly number[]): Promise<void>;
  close(): Promise<void>;
}

export async function openFrontBench(workshop: Workshop): Promise<FrontBench> {
  const subject = openProcessTarget(workshop, undefined, `${'d'.repeat(60)}/${'e'.repeat(60)}`);
  const { data, target } = subject;
  const port = await takeFrontPort();
  const servers: Server[] = [];
  const app = identifyProcess(process.pid);
  if (app === undefined) throw new Error('no /proc');
  const state = { app, restarts: 0, hasBeenHealthy: true, isHopeless: false, sandbox: 'none' } as const;

  async function serve(listener: RequestListener, onServer?: (server: Server) => unknown): Promise<number> {
    const server = createServer(listener);
    servers.push(server);
    onServer?.(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  async function writeReplica(
    release: number,
    replica: number,
    upstream: number,
    status: 'healthy' | 'unhealthy' = 'healthy',
  ): Promise<void> {
    const place = { application: thingy, environment: staging, release, fence: release };
    const folder = replicaFolder(releaseFolder(data, place), replica);
    await mkdir(folder, { recursive: true });
    // The keeper is nobody: `down` must not end the test.
    await writeReplicaState(folder, { ...state, status, port: upstream, keeper: { pid: 1, startTime: 'gone' } });
  }

  async function writeRoute(over: Partial<Route> = {}): Promise<void> {
    const route: Route = { application: thingy, environment: staging, ports: [port], ...over };
    await mkdir(routesFolder(data), { recursive: true });
    await writeJson(routeFile(data, route.application, route.environment), route);
  }

  return {
    subject,
    data,
    port,
    url: `http://127.0.0.1:${port}`,
    serve,
    writeReplica,
    writeRoute,
    async freePort() {
      const free = await serve(() => undefined);
      const server = servers.pop();
      server?.close();
      if (server !== undefined) await once(server, 'close');
      return free;
    },
    async goLive(release, upstreams) {
      await Promise.all(upstreams.map((upstream, replica) => writeReplica(release, replica, upstream)));
      await writeRoute({ live: { release, fence: release, replicas: upstreams.length, port } });
      await target.restore(); // starts the front; there is no keeper to start
      await expect.poll(async () => (await liveOf(data, port)) ?? '').toBe(`${release}-${release}`);
    },
    async close() {
      await subject.close();
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
      }
    },
  };
}

async function liveOf(data: string, port: number): Promise<string | undefined> {
  return (await askFront(data))?.ports.find((one) => one.port === port)?.live;
}

export function answerWith(release: number): RequestListener {
  return (incoming, response) => {
    incoming.resume();
    response.end(JSON.stringify({ release }));
  };
}

export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
