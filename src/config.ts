import { readFileSync } from 'node:fs';
import { availableParallelism, homedir, hostname } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { ConfigurationError, toProblems } from './configuration-error.ts';
import type { ConfigurationProblem } from './configuration-error.ts';
import { count, documented, hosts, port } from './configuration-schema.ts';
import type { Documented } from './configuration-schema.ts';

const prefix = 'LOAM_';

const anyFreePort = '0 takes any free port and keeps it for the next start.';
const address = z.string().regex(/^[^\s/:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/, 'must be host:port');
const hostId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/, 'must be at most 63 letters, digits, dots, dashes');
const namespace = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/, 'must be the name of a Temporal namespace');
const databaseUrl = z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgresql:// URL' });
const secret = z.string().regex(/^\S+$/, 'must not hold spaces or line breaks');

/** Every variable that Loam knows; docs/configuration.md and .env.example are generated from it. Unknown names with the prefix are refused. */
export const variables = z.strictObject({
  LOAM_DATA_DIR: documented(
    z.string().default('.loam'),
    '.loam',
    'Folder of all state: database, blobs, logs, repositories, keys. Relative to the folder where the process starts.',
  ),
  LOAM_DATABASE_URL: documented(
    databaseUrl.optional(),
    'a SQLite file in the data folder',
    'postgresql:// URL of the database, for a database that several hosts share.',
  ),
  LOAM_DATABASE_URL_FILE: documented(z.string().optional(), '', 'File that holds LOAM_DATABASE_URL instead.'),
  LOAM_HOST_ID: documented(
    hostId.default(hostname),
    "the machine's host name",
    'Name of this machine in rows of jobs; must differ between machines and stay the same over restarts.',
  ),
  LOAM_HOST_LEASE_SECONDS: documented(
    count.prefault('30'),
    '30',
    'How long a machine that is not heard of keeps the tasks that it has begun; then another one takes them over. The same on all machines.',
  ),
  LOAM_LOG_LEVEL: documented(
    z.enum(['debug', 'info', 'warn', 'error']).default('info'),
    'info',
    'Least level that the processes log: debug, info, warn or error.',
  ),
  LOAM_API_PORT: port(7700, `Port of the API on 127.0.0.1. ${anyFreePort}`),
  LOAM_HOSTS: documented(
    hosts.optional(),
    'only 127.0.0.1, ::1 and localhost',
    'Names, with commas between, under which the API is called beside those of the loopback: of a proxy in front, or in a network of containers. Requests for others are refused.',
  ),
  LOAM_API_PER_SECOND: documented(
    count.prefault('300'),
    '300',
    'Calls a second that the API answers to one token, and without a token to one address; others get 429. Signed deliveries are not limited by it.',
  ),
  LOAM_RELAY_PORT: port(7710, `Port of the relay on 127.0.0.1. ${anyFreePort}`),
  LOAM_RELAY_TRIGGERS: documented(
    z.string().optional(),
    'relay/triggers.json in the data folder',
    'File with the triggers that a relay takes deliveries for, and their secrets; docs/triggers.md shows it.',
  ),
  LOAM_RELAY_PER_SECOND: documented(
    count.prefault('300'),
    '300',
    'Requests a second that a relay takes from one address for one trigger; others are answered 429.',
  ),
  LOAM_RELAY_SPOOL_MB: documented(
    count.prefault('1024'),
    '1024',
    'How much a relay keeps, dead letters included; when it is full, deliveries are answered 503.',
  ),
  LOAM_HEADS_SECONDS: documented(
    count.prefault('60'),
    '60',
    'How often Loam looks at the heads of all repositories for pushes that no webhook brought; one that two looks in a row have found starts a run.',
  ),
  LOAM_FRONT_PORT_FIRST: port(
    7800,
    'First of the ports that the stable URLs of environments take; each new environment gets the next free one.',
  ),
  LOAM_JOBS_CAPACITY: documented(
    count.optional(),
    'number of cores, at least 2',
    'How many jobs run at the same time on this machine; others wait in the queue.',
  ),
  LOAM_EXECUTOR: documented(
    z.enum(['auto', 'docker', 'process'], 'must be auto, docker or process').default('auto'),
    'auto',
    'Where jobs run. auto: docker where an engine answers and has LOAM_DOCKER_IMAGE when the worker starts, else process.',
  ),
  LOAM_DOCKER_IMAGE: documented(
    z
      .string()
      .regex(/^[a-z0-9][\w.:/@-]{0,254}$/, 'must be the name of an image')
      .default('node:24-bookworm'),
    'node:24-bookworm',
    'Image that jobs run in (docker). Loam does not pull it: docker pull.',
  ),
  LOAM_DOCKER_MEMORY_MB: documented(count.prefault('4096'), '4096', 'Memory of one job (docker), in MiB.'),
  LOAM_DOCKER_CPUS: documented(count.prefault('9999'), 'number of cores', 'Cores that one job may use (docker).'),
  LOAM_BWRAP_BIN: documented(
    z.string().optional(),
    'found on PATH or fetched',
    'The bubblewrap program (bwrap, 0.11 or newer) that makes the sandboxes of jobs.',
  ),
  LOAM_DOCKER_SOCKET: documented(
    z.string().regex(/^\//, 'must be the absolute path of a unix socket').default('/var/run/docker.sock'),
    '/var/run/docker.sock',
    'Unix socket of the container engine that builds images and runs jobs; it must see the data folder under the same path. An engine that does not answer fails nothing but its tasks, which are tried again.',
  ),
  LOAM_REGISTRY: documented(
    z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]*(:\d{1,5})?(\/[a-z0-9._-]+)*$/, 'must be host[:port][/path] in lower case')
      .optional(),
    'images stay on the engine',
    'Registry that built images are pushed to, as <registry>/<application>; without authentication.',
  ),
  LOAM_KEY_FILE: documented(
    z.string().optional(),
    'key in the data folder',
    'File with the 32-byte key (base64) that stored secrets are encrypted with; made at the first start if it is missing.',
  ),
  LOAM_TEMPORAL_ADDRESS: documented(
    address.optional(),
    'a server of our own is started',
    'host:port of a Temporal server that runs already. Loam then starts none.',
  ),
  LOAM_TEMPORAL_NAMESPACE: documented(namespace.default('loam'), 'loam', 'Temporal namespace of all runs.'),
  LOAM_TEMPORAL_BIN: documented(
    z.string().optional(),
    'found on PATH or fetched',
    'The Temporal CLI (`temporal`, 1.9.1) that brings the server.',
  ),
  LOAM_TEMPORAL_PORT: port(7233, `Port of the Temporal server that Loam starts. ${anyFreePort}`),
  LOAM_TEMPORAL_UI_PORT: port(8233, `Port of that server's web UI. ${anyFreePort}`),
  LOAM_URL: documented(
    z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).optional(),
    'the API of the data folder',
    'Where `loam` finds the API, and where a relay forwards to.',
  ),
  LOAM_TOKEN: documented(
    secret.optional(),
    'the admin token of the data folder',
    'Bearer token that `loam` shows to the API.',
  ),
  LOAM_TOKEN_FILE: documented(z.string().optional(), '', 'File that holds LOAM_TOKEN instead.'),
  LOAM_NODE: documented(
    z.literal('pinned', 'must be "pinned"').optional(),
    'a Node that is new enough is used',
    'pinned: use the pinned Node even when the installed one is new enough (read by scripts/bootstrap.mjs).',
  ),
  LOAM_TEST_NO_INSTALL: documented(
    z.enum(['true', 'false'], 'must be true or false').optional(),
    'false',
    'true: fail instead of installing Node or packages (for tests and scripts/bootstrap.mjs).',
  ),
});

export interface Config {
  /** Absolute. */
  readonly dataDir: string;
  /** Where programs fetched from outside lie; absolute. Shared by all data folders of the user. */
  readonly cacheDir: string;
  /** PATH, for finding programs. */
  readonly searchPath: string;
  readonly hostId: string;
  readonly hostLeaseMs: number;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** Absolute. */
  readonly keyFile: string;
  readonly database: {
    /** Gives the URL, which holds the password; a function, so that no log of the configuration shows it (I7). Undefined: a file in the data folder. */
    readonly readUrl: (() => string) | undefined;
  };
  readonly api: { readonly port: number; readonly hosts: readonly string[]; readonly perSecond: number };
  readonly relay: {
    readonly port: number;
    /** Absolute. */
    readonly triggersFile: string;
    readonly perSecond: number;
    readonly spoolBytes: number;
  };
  readonly heads: { readonly everyMs: number };
  readonly front: { readonly firstPort: number };
  readonly docker: {
    readonly socket: string;
    readonly registry: string | undefined;
    /** Of jobs. */
    readonly image: string;
    readonly memoryBytes: number;
    readonly cpus: number;
  };
  readonly jobs: {
    readonly executor: 'auto' | 'docker' | 'process';
    readonly capacity: number;
    readonly bwrap: string | undefined;
  };
  readonly temporal: {
    readonly address: string | undefined;
    readonly namespace: string;
    readonly program: string | undefined;
    readonly port: number;
    readonly uiPort: number;
  };
  readonly client: {
    readonly url: string | undefined;
    /** Gives the token; a function, so that no log of the configuration shows it (I7). */
    readonly readToken: (() => string) | undefined;
  };
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads the environment once. Throws ConfigurationError. An empty value counts as not set. */
export function readConfig(environment: Environment = process.env, folder: string = process.cwd()): Config {
  const problems: ConfigurationProblem[] = [];
  const given = readSecretFiles(
    Object.fromEntries(Object.entries(environment).filter(([name, value]) => name.startsWith(prefix) && value !== '')),
    folder,
    problems,
  );
  const parsed = variables.safeParse(given);
  if (!parsed.success) problems.push(...parsed.error.issues.flatMap(toProblems));
  if (!parsed.success || problems.length > 0) throw new ConfigurationError(problems);
  return freezeDeep(toConfig(parsed.data, environment, folder));
}

function toConfig(values: z.output<typeof variables>, environment: Environment, folder: string): Config {
  const dataDir = path.resolve(folder, values.LOAM_DATA_DIR);
  const cacheHome = environment['XDG_CACHE_HOME'];
  const token = values.LOAM_TOKEN;
  const database = values.LOAM_DATABASE_URL;
  return {
    dataDir,
    // The specification of XDG says to ignore what is not absolute.
    cacheDir: path.join(
      cacheHome !== undefined && path.isAbsolute(cacheHome) ? cacheHome : path.join(homedir(), '.cache'),
      'loam',
    ),
    searchPath: environment['PATH'] ?? '',
    hostId: values.LOAM_HOST_ID,
    hostLeaseMs: values.LOAM_HOST_LEASE_SECONDS * 1_000,
    logLevel: values.LOAM_LOG_LEVEL,
    keyFile: path.resolve(folder, values.LOAM_KEY_FILE ?? path.join(dataDir, 'key')),
    database: { readUrl: database === undefined ? undefined : () => database },
    api: { port: values.LOAM_API_PORT, hosts: values.LOAM_HOSTS ?? [], perSecond: values.LOAM_API_PER_SECOND },
    relay: {
      port: values.LOAM_RELAY_PORT,
      triggersFile: path.resolve(folder, values.LOAM_RELAY_TRIGGERS ?? path.join(dataDir, 'relay/triggers.json')),
      perSecond: values.LOAM_RELAY_PER_SECOND,
      spoolBytes: values.LOAM_RELAY_SPOOL_MB * 1_000_000,
    },
    heads: { everyMs: values.LOAM_HEADS_SECONDS * 1_000 },
    front: { firstPort: values.LOAM_FRONT_PORT_FIRST },
    docker: {
      socket: values.LOAM_DOCKER_SOCKET,
      registry: values.LOAM_REGISTRY,
      image: values.LOAM_DOCKER_IMAGE,
      memoryBytes: values.LOAM_DOCKER_MEMORY_MB * 1024 ** 2,
      cpus: Math.min(values.LOAM_DOCKER_CPUS, availableParallelism()), // the engine refuses more than there are
    },
    jobs: {
      executor: values.LOAM_EXECUTOR,
      capacity: values.LOAM_JOBS_CAPACITY ?? Math.max(2, availableParallelism()),
      bwrap: values.LOAM_BWRAP_BIN,
    },
    temporal: {
      address: values.LOAM_TEMPORAL_ADDRESS,
      namespace: values.LOAM_TEMPORAL_NAMESPACE,
      program: values.LOAM_TEMPORAL_BIN,
      port: values.LOAM_TEMPORAL_PORT,
      uiPort: values.LOAM_TEMPORAL_UI_PORT,
    },
    client: { url: values.LOAM_URL, readToken: token === undefined ? undefined : () => token },
  };
}

/** `<NAME>_FILE` stands for `<NAME>`; both at once is a mistake that nobody should have to guess about. */
function readSecretFiles(given: Environment, folder: string, problems: ConfigurationProblem[]): Environment {
  const found: Record<string, string | undefined> = { ...given };
  for (const fileVariable of Object.keys(variables.shape).filter((name) => isSecretFile(name))) {
    const file = given[fileVariable];
    if (file === undefined) continue;
    const name = fileVariable.slice(0, -'_FILE'.length);
    if (found[name] !== undefined) {
      problems.push({ variable: fileVariable, message: `is set beside ${name}; set one of them` });
      continue;
    }
    try {
      found[name] = readFileSync(path.resolve(folder, file), 'utf8').trim();
    } catch {
      problems.push({ variable: fileVariable, message: 'names a file that cannot be read' });
    }
  }
  return found;
}

function isSecretFile(name: string): boolean {
  return name.endsWith('_FILE') && name.slice(0, -'_FILE'.length) in variables.shape;
}

function freezeDeep<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  Object.values(value).forEach(freezeDeep);
  return Object.freeze(value);
}

/** Name, default and meaning of every variable, for the generated documents. */
export function describeVariables(): readonly (Documented & { readonly name: string })[] {
  return Object.entries(variables.shape).map(([name, schema]) => {
    const { description = '', standard } = schema.meta() ?? {};
    return { name, description, standard: typeof standard === 'string' ? standard : '' };
  });
}

/** The environment of a child process of Loam: this one's, with settings laid over it. */
export function childEnvironment(settings: Readonly<Record<string, string>>): Environment {
  return { ...process.env, ...settings };
}
