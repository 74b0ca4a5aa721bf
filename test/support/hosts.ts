// Processes of Loam as they run without a supervisor: each alone, with nothing but its environment, as containers run them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { z } from 'zod';
import { descendantsOf, readProcesses } from '../../src/adapters/executor/process/processes.ts';
import { tell } from './faults.ts';
import { isAlive, processesOf, waitFor } from './loam.ts';

const root = path.resolve(import.meta.dirname, '../..');
const startDeadlineMs = 300_000;
const Ready = z.object({
  msg: z.string().regex(/ is ready$/),
  door: z.string().optional(),
  relayUrl: z.string().optional(),
});

export interface Host {
  readonly name: string;
  readonly dataFolder: string;
  readonly pid: number;
  /** Where it listens; empty for a worker. */
  readonly door: string;
  /** SIGKILL to it and to all that it started, jobs too: its machine is gone. */
  kill(): Promise<void>;
  /** SIGTERM. Resolves with its exit code. Twice is fine. */
  end(): Promise<number | null>;
}

/** Starts `src/main/<program>.ts` with a data folder of its own below `folder`, and resolves when it says that it is ready. */
export async function startHost(
  folder: string,
  [program, name]: readonly [program: 'api' | 'relay' | 'worker', name: string],
  env: Readonly<Record<string, string>>,
): Promise<Host> {
  const dataFolder = path.join(folder, name);
  const child = spawn(process.execPath, [path.join(root, `src/main/${program}.ts`)], {
    cwd: folder,
    env: { ...process.env, ...env, LOAM_DATA_DIR: dataFolder, LOAM_HOST_ID: name },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = once(child, 'exit');
  let log = '';
  let ready: z.infer<typeof Ready> | undefined;
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
    ready ??= findReady(log);
  });
  await waitFor(
    `${name} is ready`,
    () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${name} ended:\n${log}`);
      return ready !== undefined;
    },
    startDeadlineMs,
  ).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  const pid = child.pid ?? 0;
  return {
    name,
    dataFolder,
    pid,
    door: ready?.door ?? ready?.relayUrl ?? '',
    async kill() {
      const all = (): readonly number[] => {
        const found = [pid, ...processesOf(`${dataFolder}/jobs/`)].filter(isAlive);
        return [...new Set([...found, ...descendantsOf(found, readProcesses())])];
      };
      let count = 0;
      await waitFor(`all of ${name} is gone`, () => {
        const left = all();
        for (const one of left) count += sendKill(one);
        return left.length === 0;
      });
      tell(`kill -9 ${name}, ${String(count)} processes`);
    },
    async end() {
      child.kill('SIGTERM');
      await exited;
      return child.exitCode;
    },
  };
}

function sendKill(pid: number): number {
  try {
    process.kill(pid, 'SIGKILL');
    return 1;
  } catch {
    return 0; // gone meanwhile
  }
}

function findReady(log: string): z.infer<typeof Ready> | undefined {
  for (const line of log.split('\n').slice(0, -1)) {
    if (!line.startsWith('{')) continue;
    const { data } = Ready.safeParse(JSON.parse(line));
    if (data !== undefined) return data;
  }
  return undefined;
}

export interface Balancer {
  readonly url: string;
  /** In this order, the next one when nobody answers. */
  setDoors(doors: readonly string[]): void;
  close(): Promise<void>;
}

/** What stands before several API hosts, as a proxy or the network of the containers does: passes each connection on to one that answers. */
export async function startBalancer(): Promise<Balancer> {
  let doors: readonly string[] = [];
  const sockets = new Set<net.Socket>();
  const keep = (socket: net.Socket): net.Socket => {
    sockets.add(socket);
    return socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
  };
  const pass = (client: net.Socket, [door, ...others]: readonly string[]): void => {
    if (door === undefined) {
      client.destroy();
      return;
    }
    const { hostname, port } = new URL(door);
    const server = keep(net.connect(Number(port), hostname));
    let isThere = false;
    server.on('connect', () => {
      isThere = true;
      client.pipe(server).pipe(client);
    });
    server.on('close', () => {
      if (isThere) client.destroy();
      else pass(client, others);
    });
    client.on('close', () => server.destroy());
  };
  const listener = net.createServer((client) => pass(keep(client), doors));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    url: `http://127.0.0.1:${String((listener.address() as AddressInfo).port)}`,
    setDoors: (next) => (doors = next),
    async close() {
      const closed = once(listener, 'close');
      listener.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
