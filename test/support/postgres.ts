// A real PostgreSQL of the test's own: on a socket in a folder of its own, without fsync, as a user who is not root. It ends with the process that started it,
// also when that is killed, and leaves nothing.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statfsSync } from 'node:fs';
import { appendFile, chown, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { findOnPath } from '../../src/adapters/tool/find-tool.ts';
import { installPackages, mayInstall } from './debian-packages.ts';

const user = 'loam';
const deadlineMs = 60_000;
const maxFolderBytes = 500_000_000;

export interface TestPostgres {
  /** The URL of a new, empty database. */
  createDatabase(): Promise<string>;
  /** Runs a statement with all rights, in a database of the server or in its own. */
  query(text: string, url?: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  dropDatabase(url: string): Promise<void>;
  /** Cuts every connection to a database; says how many there were. */
  cutConnections(url: string): Promise<number>;
  /** Ends the server, `immediate` as a crash does. Twice is fine. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  /** Starts it again on the same data, unless it runs. */
  start(): Promise<void>;
  /** Ends it and deletes its folder. */
  close(): Promise<void>;
}

interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

export async function startPostgres(): Promise<TestPostgres> {
  const programs = await findPrograms();
  const identity = unprivileged();
  const folder = await mkdtemp(path.join(placeFor(maxFolderBytes), 'loam-pg-'));
  if (identity.uid !== undefined && identity.gid !== undefined) await chown(folder, identity.uid, identity.gid);
  const server = new Server(programs, folder, identity);
  try {
    await server.initialise();
    await server.start();
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

class Server implements TestPostgres {
  readonly #programs: string;
  readonly #folder: string;
  readonly #identity: Identity;
  readonly #guard: ChildProcess;
  #child: ChildProcess | undefined;

  constructor(programs: string, folder: string, identity: Identity) {
    this.#programs = programs;
    this.#folder = folder;
    this.#identity = identity;
    this.#guard = startGuard(folder, identity);
  }

  async initialise(): Promise<void> {
    const flags = ['-D', this.#data, '-U', user, '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'];
    const child = spawn(path.join(this.#programs, 'initdb'), flags, {
      ...this.#identity,
      cwd: this.#folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let words = '';
    child.stderr.on('data', (chunk: Buffer) => (words += chunk.toString('utf8')));
    const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
    if (code !== 0) throw new Error(`initdb ended with ${String(code)}: ${words.slice(-500)}`);
  }

  async start(): Promise<void> {
    if (this.#child !== undefined) return;
    const settings = {
      listen_addresses: '',
      unix_socket_directories: this.#folder,
      max_connections: '200',
      shared_buffers: '32MB',
      fsync: 'off',
      full_page_writes: 'off',
      max_wal_size: '64MB',
      min_wal_size: '32MB',
      log_min_messages: 'fatal',
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = spawn(path.join(this.#programs, 'postgres'), ['-D', this.#data, ...flags], {
      ...this.#identity,
      cwd: this.#folder,
      detached: true, // Ctrl-C is for the tests, which then end it
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    let words = '';
    child.stderr.on('data', (chunk: Buffer) => (words = (words + chunk.toString('utf8')).slice(-2_000)));
    const deadline = performance.now() + deadlineMs;
    while (!(await this.#answers())) {
      if (child.exitCode !== null) throw new Error(`PostgreSQL ended at its start: ${words}`);
      if (performance.now() > deadline) throw new Error(`PostgreSQL does not answer: ${words}`);
      await delay(20);
    }
  }

  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await ended;
  }

  async close(): Promise<void> {
    await this.stop('immediate');
    const gone = new Promise((resolve) => this.#guard.once('exit', resolve));
    this.#guard.ref();
    this.#guard.stdin?.end();
    await gone;
  }

  async createDatabase(): Promise<string> {
    const name = `t_${randomUUID().replaceAll('-', '')}`;
    await this.query(`create database ${name}`);
    return this.#url(name);
  }

  async dropDatabase(url: string): Promise<void> {
    await this.query(`drop database ${nameOf(url)} with (force)`);
  }

  async query(text: string, url = this.#url('postgres')): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }

  async cutConnections(url: string): Promise<number> {
    const cut = `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${nameOf(url)}'`;
    return (await this.query(cut)).length;
  }

  get #data(): string {
    return path.join(this.#folder, 'data');
  }

  #url(database: string): string {
    return `postgresql://${user}@localhost/${database}?host=${encodeURIComponent(this.#folder)}`;
  }

  async #answers(): Promise<boolean> {
    return this.query('select 1').then(
      () => true,
      () => false,
    );
  }
}

/** Its pipe closes when this process ends, however it ends; then it ends the server and deletes the folder. */
function startGuard(folder: string, identity: Identity): ChildProcess {
  const script = `cat
if read -r pid <"$0/data/postmaster.pid" && kill -QUIT "$pid"; then
  for i in $(seq 200); do kill -0 "$pid" || break; sleep 0.05; done
fi
rm -rf "$0"`;
  const guard = spawn('sh', ['-c', script, folder], {
    ...identity,
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.unref();
  return guard;
}

function nameOf(url: string): string {
  return new URL(url).pathname.slice(1);
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): Identity {
  if (process.getuid?.() !== 0) return {};
  const rows = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const row = rows.find(([one]) => one === name);
    if (row !== undefined) return { uid: Number(row[2]), gid: Number(row[3]) };
  }
  throw new Error('PostgreSQL does not run as root, and there is no user "postgres" or "nobody" to run it as');
}

/** Memory where there is enough of it: the tests of a machine with a slow disk must not depend on that. */
function placeFor(bytes: number): string {
  const memory = '/dev/shm';
  if (!existsSync(memory)) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  return bavail * bsize > bytes ? memory : tmpdir();
}

/** The folder of `initdb` and `postgres`, installed from Debian when it is missing. */
async function findPrograms(): Promise<string> {
  const found = await lookForPrograms();
  if (found !== undefined) return found;
  const remedy = 'apt-get install -y --no-install-recommends postgresql, or its like';
  if (!mayInstall()) throw new Error(`the tests need PostgreSQL, which is not here: ${remedy}`);
  // Two steps: the second package makes a server of its own and starts it, unless the first one's settings say no.
  const common = await installPackages(['postgresql-common']);
  if (common !== undefined) throw new Error(`postgresql-common could not be installed: ${common}`);
  await appendFile('/etc/postgresql-common/createcluster.conf', '\ncreate_main_cluster = false\n');
  const server = await installPackages(['postgresql']);
  const installed = await lookForPrograms();
  if (installed === undefined) throw new Error(`PostgreSQL could not be installed (${remedy}): ${server ?? ''}`);
  return installed;
}

async function lookForPrograms(): Promise<string | undefined> {
  const versions = '/usr/lib/postgresql';
  const folders = existsSync(versions) ? readdirSync(versions) : [];
  const newest = folders
    .toSorted((a, b) => Number(b) - Number(a))
    .map((version) => path.join(versions, version, 'bin'))
    .find((folder) => existsSync(path.join(folder, 'initdb')) && existsSync(path.join(folder, 'postgres')));
  if (newest !== undefined) return newest;
  const onPath = await findOnPath('initdb', process.env['PATH'] ?? '');
  return onPath === undefined ? undefined : path.dirname(onPath);
}
