import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { ReleaseReference, ReleaseSpec } from '../../../src/ports/target.ts';
import { parseApplicationName, parseEnvironmentName } from '../../../src/core/model/ids.ts';

export const thingy = parseApplicationName('thingy');
export const staging = parseEnvironmentName('staging');
export const production = parseEnvironmentName('production');

/** An application whose behaviour is chosen by the variable BEHAVIOUR. */
const serverSource = `
import { createServer } from 'node:http';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
const { PORT, LOAM_RELEASE, LOAM_REPLICA_ID, BEHAVIOUR = 'good', LOAM_TRUST_TOKEN_FILE } = process.env;
console.log('release ' + LOAM_RELEASE + ' starts, behaviour ' + BEHAVIOUR);
if (BEHAVIOUR === 'crashes') { console.error('cannot start: no database'); process.exit(3); }
const open = new Set();
const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://x');
  const say = (body) => { response.setHeader('content-type', 'application/json'); response.end(JSON.stringify(body)); };
  const at = {
    '/health': () => { if (BEHAVIOUR === 'hangs') return; response.statusCode = BEHAVIOUR === 'sick' ? 500 : 200; response.end(); },
    '/slow': () => { console.log('slow begins'); setTimeout(() => say({ release: LOAM_RELEASE }), Number(url.searchParams.get('ms'))); },
    '/env': () => say(process.env),
    '/headers': () => say(request.headers),
    '/token': () => say({ token: readFileSync(LOAM_TRUST_TOKEN_FILE, 'utf8') }),
    '/kept': () => { const file = process.env.HOME + '/kept'; const old = (() => { try { return readFileSync(file, 'utf8'); } catch { return ''; } })(); writeFileSync(file, old + LOAM_RELEASE); say({ kept: old }); },
    '/crash': () => { response.end(); process.exit(1); },
    '/events': () => { response.writeHead(200, { 'content-type': 'text/event-stream' }); let n = 0; const t = setInterval(() => response.write('data: ' + n++ + '\\n\\n'), 20); response.on('close', () => clearInterval(t)); },
    '/echo': () => request.pipe(response),
    '/cut': () => { response.writeHead(200, { 'content-length': 100 }); response.write('half', () => response.destroy()); },
  }[url.pathname];
  if (at) at(); else say({ release: LOAM_RELEASE, pid: process.pid, replica: LOAM_REPLICA_ID });
});
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nupgrade: websocket\\r\\nconnection: Upgrade\\r\\n\\r\\n');
  socket.on('error', () => {});
  socket.pipe(socket);
});
if (BEHAVIOUR === 'deaf') setInterval(() => {}, 1000);
else server.listen(Number(PORT), existsSync('/.dockerenv') ? '0.0.0.0' : '127.0.0.1'); // a container's own loopback is not reached from outside
process.on('SIGTERM', () => { console.log('release ' + LOAM_RELEASE + ' ends'); server.close(() => process.exit(0)); server.closeIdleConnections(); });
`;

export interface Workshop {
  readonly folder: string;
  /** The test application as a tar. */
  readonly artifact: string;
  makeTar(name: string, files: Readonly<Record<string, string>>): string;
  remove(): void;
}

/** A temporary folder with artifacts. */
export function makeWorkshop(): Workshop {
  const folder = mkdtempSync(path.join(tmpdir(), 'loam-target-'));
  function makeTar(name: string, files: Readonly<Record<string, string>>): string {
    const tree = path.join(folder, `${name}.tree`);
    for (const [file, content] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(tree, file)), { recursive: true });
      writeFileSync(path.join(tree, file), content);
    }
    const tar = path.join(folder, `${name}.tar`);
    execFileSync('tar', ['-C', tree, '-cf', tar, '.']);
    return tar;
  }
  return {
    folder,
    artifact: makeTar('app', { 'server.mjs': serverSource }),
    makeTar,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export function makeReference(over: Partial<ReleaseReference> = {}): ReleaseReference {
  return { application: thingy, environment: staging, release: 1, fence: 1, ...over };
}

export type SpecOver = Partial<Omit<ReleaseSpec, 'reference'>> & { readonly reference?: Partial<ReleaseReference> };

export function makeSpec(artifact: string, frontPort: number, over: SpecOver = {}): ReleaseSpec {
  return {
    artifact,
    start: 'node server.mjs',
    health: '/health',
    replicas: 1,
    memoryMb: undefined,
    cpus: undefined,
    env: {},
    secrets: {},
    trustToken: undefined,
    port: undefined,
    frontPort,
    ...over,
    reference: makeReference(over.reference),
  };
}

/** A port that nobody has now. Below the range that the kernel gives to outgoing connections, so that none takes it before the front does. */
export async function takeFrontPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const server = createServer();
    server.listen({ host: '127.0.0.1', port });
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface AskOptions {
  readonly agent?: Agent | false;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly socketPath?: string;
}

/** One request; rejects when the connection breaks. */
export function ask(url: string, options: AskOptions = {}): Promise<Answer> {
  const { body, agent = false, ...rest } = options;
  return new Promise((resolve, reject) => {
    const asking = request(url, { ...rest, agent }, (response) => {
      text(response).then((answer) => resolve({ status: response.statusCode ?? 0, body: answer }), reject);
    });
    asking.on('error', reject);
    asking.end(body);
  });
}

export async function askJson(url: string): Promise<Readonly<Record<string, unknown>>> {
  const { body } = await ask(url);
  return JSON.parse(body) as Readonly<Record<string, unknown>>;
}

export interface Load {
  readonly requests: number;
  readonly failures: readonly string[];
  /** Releases in the order of their first answer. */
  readonly releases: readonly string[];
}

/** Asks without a pause from several loops, with and without keep-alive and with bodies, until it is stopped. */
export function startLoad(url: string): () => Promise<Load> {
  const controller = new AbortController();
  const keepAlive = new Agent({ keepAlive: true });
  const failures: string[] = [];
  const releases = new Set<string>();
  let requests = 0;
  async function loop(options: AskOptions): Promise<void> {
    while (!controller.signal.aborted) {
      requests += 1;
      try {
        const { status, body } = await ask(url, options);
        if (status === 200) releases.add(String((JSON.parse(body) as Readonly<Record<string, unknown>>)['release']));
        else failures.push(`${status} ${body.slice(0, 80)}`);
      } catch (error) {
        failures.push(String(error));
      }
    }
  }
  const loops = [
    loop({ agent: keepAlive }),
    loop({ agent: keepAlive }),
    loop({}),
    loop({}),
    loop({ agent: keepAlive, method: 'POST', body: 'x=1' }),
    loop({ method: 'POST', body: 'x=1' }),
  ];
  return async () => {
    controller.abort();
    await Promise.all(loops);
    keepAlive.destroy();
    return { requests, failures, releases: [...releases] };
  };
}
