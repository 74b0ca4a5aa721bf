import { hostname } from 'node:os';
import { z } from 'zod';
import { count, documented, hosts, port } from './configuration-schema.ts';

const anyFreePort = '0 takes any free port and keeps it for the next start.';
const address = z.string().regex(/^[^\s/:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/, 'must be host:port');
const hostId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/, 'must be at most 63 letters, digits, dots, dashes');
const namespace = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/, 'must be the name of a Temporal namespace');
const databaseUrl = z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgresql:// URL' });
const ipAddress = z.union([z.ipv4(), z.ipv6()], 'must be an IP address');
const publicUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .refine((url) => !/[@?#]/.test(url), 'must not hold a name, a password, a query or a fragment')
  .transform((url) => url.replace(/\/+$/, ''));
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
    'postgresql:// URL of the database, for more than one host; docs/deploying.md tells more.',
  ),
  LOAM_DATABASE_URL_FILE: documented(z.string().optional(), '', 'File that holds LOAM_DATABASE_URL instead.'),
  LOAM_BLOBS_DIR: documented(
    z.string().optional(),
    'blobs in the data folder',
    'Folder of artifacts, snapshots and finished logs. Several hosts share one (a volume).',
  ),
  LOAM_BIND_ADDRESS: documented(
    ipAddress.default('127.0.0.1'),
    '127.0.0.1',
    'Address that API and relay listen on: 0.0.0.0 in a container. They speak plain HTTP, so that elsewhere a proxy with TLS comes first.',
  ),
  LOAM_ADMIN_TOKEN: documented(
    secret.min(20, 'must have at least 20 characters').optional(),
    'one is made at the first start',
    "The administrator's token. Several API hosts get the same one.",
  ),
  LOAM_ADMIN_TOKEN_FILE: documented(z.string().optional(), '', 'File that holds LOAM_ADMIN_TOKEN instead.'),
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
  LOAM_API_PORT: port(7700, `Port of the API. ${anyFreePort}`),
  LOAM_HOSTS: documented(
    hosts.optional(),
    'only 127.0.0.1, ::1 and localhost',
    'Names, with commas between, under which the API is called beside those of the loopback: of a proxy in front, or in a network of containers. Requests for others are refused.',
  ),
  LOAM_PUBLIC_URL: documented(
    publicUrl.optional(),
    'where the API listens',
    'URL of the API as people and forges reach it, of the proxy in front: with it begin the URLs of runs and triggers in answers and in statuses of commits. Its name is one that LOAM_HOSTS need not hold.',
  ),
  LOAM_API_PER_SECOND: documented(
    count.prefault('300'),
    '300',
    'Calls a second that the API answers to one token, and without a token to one address; others get 429. Signed deliveries are not limited by it.',
  ),
  LOAM_RELAY_PORT: port(7710, `Port of the relay. ${anyFreePort}`),
  LOAM_RELAY_PUBLIC_URL: documented(
    publicUrl.optional(),
    'LOAM_PUBLIC_URL',
    'URL of the relay as forges reach it, of the proxy in front: with it begin the URLs of triggers that the API tells. The API reads it, the relay does not.',
  ),
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
    'Registry that built images are pushed to, as <registry>/<application>.',
  ),
  LOAM_REGISTRY_LOGIN: documented(
    secret.regex(/^[^:]+:./, 'must be user:password').optional(),
    'none',
    'user:password of an account that may push to LOAM_REGISTRY. Builds pull private images of its host with it, and no others.',
  ),
  LOAM_REGISTRY_LOGIN_FILE: documented(z.string().optional(), '', 'File that holds LOAM_REGISTRY_LOGIN instead.'),
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
