// A ledger of side effects outside Loam: what a job or an application did is counted by the test's own process, which nothing here kills.
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { waitFor } from './loam.ts';

export interface Ledger {
  /**
   * Given to Loam with `createLoam`. It puts the ledger's folder on the PATH, whose folders every sandbox shows read-only: a socket in one can be called from
   * there, whatever network the job has, and no network of the machine is needed.
   */
  readonly env: Readonly<Record<string, string>>;
  /** For a job in its sandbox. */
  readonly socketPath: string;
  /** For a deployed application, which has the host's network, and for what runs in a container if the host is one that a container reaches. */
  readonly host: string;
  readonly port: number;
  /** What was noted, in order. */
  notes(): readonly string[];
  count(note: string): number;
  waitForNote(note: string, timeoutMs?: number): Promise<void>;
  /** A door that jobs and applications ask for; it is closed until then. */
  open(door: string): void;
  /** How often somebody asked for it. */
  asked(door: string): number;
  close(): Promise<void>;
}

export async function createLedger(host = '127.0.0.1'): Promise<Ledger> {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-ledger-'));
  chmodSync(folder, 0o755); // a job may be another user
  const socketPath = path.join(folder, 'socket');
  const notes: string[] = [];
  const doors = new Set<string>();
  const asked = new Map<string, number>();
  const answer = (method: string, subject: string): boolean => {
    if (method === 'POST') return notes.push(subject) > 0;
    asked.set(subject, (asked.get(subject) ?? 0) + 1);
    return doors.has(subject);
  };
  const servers = await Promise.all([socketPath, { host, port: 0 }].map((place) => serve(answer, place)));
  chmodSync(socketPath, 0o666);
  const { port } = servers[1]?.address() as AddressInfo;
  const count = (note: string): number => notes.filter((one) => one === note).length;
  return {
    env: { PATH: [folder, process.env['PATH'] ?? ''].join(path.delimiter) },
    socketPath,
    host,
    port,
    notes: () => notes,
    count,
    waitForNote: (note, timeoutMs = 240_000) => waitFor(`the ledger holds "${note}"`, () => count(note) > 0, timeoutMs),
    open: (door) => void doors.add(door),
    asked: (door) => asked.get(door) ?? 0,
    async close() {
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function serve(
  answer: (method: string, subject: string) => boolean,
  place: string | object,
): Promise<http.Server> {
  const server = http.createServer((request, response) => {
    const isYes = answer(request.method ?? '', decodeURIComponent((request.url ?? '').slice(1)));
    response.writeHead(isYes ? 200 : 404).end();
  });
  server.listen(place);
  await once(server, 'listening');
  return server;
}

type Place = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/** Start of a program that speaks to the ledger: `note(text)`, and `isOpen(door)`. Both fail when the ledger does not answer. */
function ledgerClient(place: Place): string {
  return `import http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
const place = ${JSON.stringify(place)};
function ask(method, subject) {
  return new Promise((resolve, reject) => {
    http.request({ ...place, method, path: '/' + encodeURIComponent(subject) }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode === 200));
    }).on('error', reject).end();
  });
}
const note = (text) => ask('POST', text);
const isOpen = (door) => ask('GET', door);
`;
}

/** A job that prints numbered lines until the door with the name of its run opens; the ledger knows how many. */
function countingJob(place: Place): string {
  return `${ledgerClient(place)}const name = process.env.LOAM_RUN + ' ' + process.env.LOAM_TASK;
await note(name + ' begins');
let line = 0;
while (!(await isOpen(name))) {
  line += 1;
  console.log('line ' + line);
  await delay(10);
}
await note(name + ' ends at ' + line);
`;
}

/** The log that a counting job must have: every line once, in order. */
export function countedLines(ledger: Ledger, name: string): string {
  const [end, ...more] = ledger.notes().filter((note) => note.startsWith(`${name} ends at `));
  if (end === undefined || more.length > 0)
    throw new Error(`${name} did not end once: ${JSON.stringify(ledger.notes())}`);
  return numberedLines(Number(end.split(' ').at(-1)));
}

export function numberedLines(last: number): string {
  return Array.from({ length: last }, (_, index) => `line ${String(index + 1)}\n`).join('');
}

/** A log without what Loam says before the job's own first line, such as which limits do not hold here. */
export function withoutHead(log: string): string {
  return log.replace(/^(?:loam: .*\n)*/, '');
}

/**
 * An application that tells the ledger of its start, and is healthy once the door `<name> <label>` is open. It is called like its environment unless a name is
 * given; the label is what the file of that name in the commit holds, else the number of the release. `/wait` is answered once the door `<name> <label> waits`
 * is open; once the door `<name> <label> crashes` is open, each request ends it. Which token of its environment's trust it was given it tells without saying it.
 */
function reportingServer({ host, port }: Ledger, name?: string): string {
  return `${ledgerClient({ host, port })}import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
const label = existsSync('label') ? readFileSync('label', 'utf8') : process.env.LOAM_RELEASE;
const name = ${name === undefined ? 'process.env.LOAM_ENVIRONMENT' : JSON.stringify(name)} + ' ' + label;
const tokenFile = process.env.LOAM_TRUST_TOKEN_FILE;
if (tokenFile !== undefined)
  await note(name + ' holds ' + createHash('sha256').update(readFileSync(tokenFile, 'utf8')).digest('hex'));
await note(name + ' starts');
const server = http.createServer(async (request, response) => {
  if (await isOpen(name + ' crashes')) process.exit(1);
  if (request.url === '/wait') while (!(await isOpen(name + ' waits'))) await delay(10);
  response.writeHead((await isOpen(name)) ? 200 : 503).end(name);
});
server.keepAliveTimeout = 500;
server.listen(Number(process.env.PORT));
process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
`;
}

/** What to push for a run of a counting job and one after it. A container has no folder of the host, and so calls the ledger by its network. */
export function countingFiles(
  { socketPath, host, port }: Ledger,
  executor: 'process' | 'docker' = 'process',
): Readonly<Record<string, string>> {
  const [place, network] = executor === 'docker' ? [{ host, port }, 'egress'] : [{ socketPath }, 'none'];
  return {
    'job.mjs': countingJob(place),
    'loam.yaml': `version: 1
workflow:
  count: {type: repo_job, network: ${network}, cmd: node job.mjs}
  after: {type: repo_job, network: none, depends_on: count, cmd: echo done}
`,
  };
}

/** A build that lasts until the door `<run> build` is open. */
const slowBuild = `const name = process.env.LOAM_RUN + ' build';
await note(name + ' begins');
while (!(await isOpen(name))) await delay(10);
`;

function reportingBuild({ socketPath }: Ledger, build?: 'slow'): string {
  return `${ledgerClient({ socketPath })}${build === undefined ? '' : slowBuild}await note(process.env.LOAM_RUN + ' is built');\n`;
}

export interface ServedOptions {
  /** A gate before the deploy. */
  readonly gate?: 'approve';
  readonly build?: 'slow';
}

/** What to push for a deploy of the reporting server to the environment `place`. */
export function servedFiles(
  ledger: Ledger,
  name: string,
  { gate, build }: ServedOptions = {},
): Readonly<Record<string, string>> {
  const approval = gate === undefined ? '' : `  ${gate}: {type: approval, environment: place, depends_on: template}\n`;
  return {
    'build.mjs': reportingBuild(ledger, build),
    'server.mjs': reportingServer(ledger, name),
    'loam.yaml': `version: 1
applications:
  ${name}: {start: node server.mjs, health: /}
environments:
  place: {compute: process}
workflow:
  build: {type: build_image, network: none, cmd: node build.mjs}
  template: {type: generate_template, application: ${name}, image: {get_output: build.digest}}
${approval}  deploy: {type: deploy_stack, environment: place, template: {get_output: template}${gate === undefined ? '' : `, depends_on: ${gate}`}, timeout: 3m}
`,
  };
}

/** What to push for deploys of the reporting server to all these places at once, each with an environment `<place>-process` and an environment `<place>-docker`. */
export function placesFiles(
  ledger: Ledger,
  places: readonly string[],
  baseImage: string,
): Readonly<Record<string, string>> {
  const environments = places.flatMap((place) => [`${place}-process`, `${place}-docker`]);
  const targetOf = (environment: string): string => environment.split('-').at(-1) ?? '';
  const deploys = environments.map(
    (environment) =>
      `  deploy-${environment}: {type: deploy_stack, environment: ${environment}, template: {get_output: template-${targetOf(environment)}}, timeout: 3m}\n`,
  );
  return {
    'build.mjs': reportingBuild(ledger),
    'server.mjs': reportingServer(ledger),
    Dockerfile: `FROM ${baseImage}\nWORKDIR /app\nCOPY server.mjs .\nUSER 1000:1000\nCMD ["node", "server.mjs"]\n`,
    'loam.yaml': `version: 1
applications:
  served: {start: node server.mjs, health: /}
environments:
${environments.map((environment) => `  ${environment}: {compute: ${targetOf(environment)}}\n`).join('')}workflow:
  archive: {type: build_image, network: none, cmd: node build.mjs}
  image: {type: build_image}
  template-process: {type: generate_template, application: served, image: {get_output: archive.digest}}
  template-docker: {type: generate_template, application: served, image: {get_output: image.digest}}
${deploys.join('')}`,
  };
}

/** A job that makes a tree of processes, each in a session of its own, which do not heed TERM. All carry the marker in their command line. */
export function treeFiles(ledger: Ledger, marker: string): Readonly<Record<string, string>> {
  return {
    'tree.mjs': `import { spawn } from 'node:child_process';
${ledgerClient({ socketPath: ledger.socketPath })}process.on('SIGTERM', () => undefined);
const depth = Number(process.argv[3]);
if (depth > 0) spawn(process.execPath, ['tree.mjs', process.argv[2], String(depth - 1)], { detached: true, stdio: 'ignore' });
else await note(process.env.LOAM_RUN + ' tree stands');
await delay(3_600_000);
`,
    'loam.yaml': `version: 1
workflow:
  tree: {type: repo_job, network: none, cmd: node tree.mjs ${marker} 3}
`,
  };
}
