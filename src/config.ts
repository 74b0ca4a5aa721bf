import { readFileSync } from 'node:fs';
import { availableParallelism, homedir } from 'node:os';
import path from 'node:path';
import type { z } from 'zod';
import { ConfigurationError, toProblems } from './configuration-error.ts';
import type { ConfigurationProblem } from './configuration-error.ts';
import type { Documented } from './configuration-schema.ts';
import { variables } from './configuration-variables.ts';

const prefix = 'LOAM_';

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
  /** Absolute. */
  readonly blobsDir: string;
  /** Where API and relay listen. */
  readonly bindAddress: string;
  readonly api: {
    readonly port: number;
    /** Without a slash at its end. */
    readonly publicUrl: string | undefined;
    readonly hosts: readonly string[];
    readonly perSecond: number;
    /** Gives the administrator's token; undefined: one of the data folder. */
    readonly readAdminToken: (() => string) | undefined;
  };
  readonly relay: {
    readonly port: number;
    /** Without a slash at its end. */
    readonly publicUrl: string | undefined;
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
    /** `user:password`. */
    readonly readRegistryLogin: (() => string) | undefined;
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
    database: { readUrl: readerOf(values.LOAM_DATABASE_URL) },
    blobsDir: path.resolve(folder, values.LOAM_BLOBS_DIR ?? path.join(dataDir, 'blobs')),
    bindAddress: values.LOAM_BIND_ADDRESS,
    api: {
      port: values.LOAM_API_PORT,
      publicUrl: values.LOAM_PUBLIC_URL,
      hosts: [...(values.LOAM_HOSTS ?? []), ...hostOf(values.LOAM_PUBLIC_URL)],
      perSecond: values.LOAM_API_PER_SECOND,
      readAdminToken: readerOf(values.LOAM_ADMIN_TOKEN),
    },
    relay: {
      port: values.LOAM_RELAY_PORT,
      publicUrl: values.LOAM_RELAY_PUBLIC_URL,
      triggersFile: path.resolve(folder, values.LOAM_RELAY_TRIGGERS ?? path.join(dataDir, 'relay/triggers.json')),
      perSecond: values.LOAM_RELAY_PER_SECOND,
      spoolBytes: values.LOAM_RELAY_SPOOL_MB * 1_000_000,
    },
    heads: { everyMs: values.LOAM_HEADS_SECONDS * 1_000 },
    front: { firstPort: values.LOAM_FRONT_PORT_FIRST },
    docker: {
      socket: values.LOAM_DOCKER_SOCKET,
      registry: values.LOAM_REGISTRY,
      readRegistryLogin: readerOf(values.LOAM_REGISTRY_LOGIN),
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
    client: { url: values.LOAM_URL, readToken: readerOf(values.LOAM_TOKEN) },
  };
}

function hostOf(url: string | undefined): readonly string[] {
  return url === undefined ? [] : [new URL(url).hostname];
}

function readerOf(secret: string | undefined): (() => string) | undefined {
  return secret === undefined ? undefined : () => secret;
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
