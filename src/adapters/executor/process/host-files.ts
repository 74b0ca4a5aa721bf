import { createHash, randomBytes } from 'node:crypto';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { firstJobUser, jobUsers } from '../job/job-user.ts';

/** Inside the sandbox when Loam runs as an ordinary user. */
export const sandboxUser = 1000;

/** Files of the host that programs need and that hold no secret. */
const copied = [
  'alternatives',
  'ca-certificates',
  'fonts',
  'gai.conf',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'localtime',
  'mime.types',
  'os-release',
  'pki/ca-trust/extracted',
  'pki/tls/cert.pem',
  'pki/tls/certs',
  'protocols',
  'services',
  'ssl/certs',
  'ssl/cert.pem',
  'ssl/openssl.cnf',
];
const runtimes = /^(?:java|openjdk|python|perl|ruby|maven|dotnet)/;
const nameServerOfSlirp = '10.0.2.3';

export interface HostFiles {
  /** Shown as /etc. */
  readonly etc: string;
  readonly shim: string;
  /** Variables that name the host's own certificates, with their paths in the sandbox. */
  readonly certificateVariables: Readonly<Record<string, string>>;
}

/**
 * Lays the files that all jobs share into one folder, which is shown as one mount: each mount of its own costs a job time. The folder is named after its
 * content and never changed: jobs of an earlier Loam still look at theirs.
 */
export function layHostFiles(jobsFolder: string, certificateFiles: Readonly<Record<string, string>>): HostFiles {
  const texts = generatedFiles();
  const certificates = Object.entries(certificateFiles).filter(([, path]) => isAbsolute(path) && existsSync(path));
  const sources = [...copied, ...readdirSync('/etc').filter((name) => runtimes.test(name))].filter((name) =>
    existsSync(`/etc/${name}`),
  );
  const hash = createHash('sha256').update(
    JSON.stringify([[...texts], certificates, certificates.map(([, path]) => describe(path))]),
  );
  for (const name of sources) hash.update(describe(`/etc/${name}`));
  const folder = join(jobsFolder, `.host-${hash.digest('hex').slice(0, 12)}`);
  const variables = certificates.map(([name, path], index) => [name, certificateInside(path, index), path] as const);
  if (!existsSync(folder)) {
    const draft = `${folder}.${randomBytes(4).toString('hex')}`;
    for (const name of sources)
      cpSync(`/etc/${name}`, join(draft, 'etc', name), { recursive: true, verbatimSymlinks: true, filter: isPlain });
    for (const [, inside, path] of variables)
      if (inside.startsWith('/etc/loam/'))
        cpSync(path, place(join(draft, inside)), { dereference: true, recursive: true });
    for (const [name, text] of texts) writeFileSync(place(join(draft, name)), text, { mode: 0o644 });
    publish(draft, folder);
  }
  return {
    etc: join(folder, 'etc'),
    shim: join(folder, 'shim.sh'),
    certificateVariables: Object.fromEntries(variables.map(([name, inside]) => [name, inside])),
  };
}

function generatedFiles(): ReadonlyMap<string, string> {
  const users = Array.from({ length: jobUsers }, (_, index) => firstJobUser + index);
  const passwd = [sandboxUser, ...users].map(
    (user) => `job:x:${user}:${user === sandboxUser ? user : firstJobUser}::/home/job:/bin/sh\n`,
  );
  return new Map([
    ['shim.sh', readFileSync(join(import.meta.dirname, 'shim.sh'), 'utf8')],
    ['etc/passwd', `root:x:0:0::/root:/bin/sh\n${passwd.join('')}nobody:x:65534:65534::/nonexistent:/bin/false\n`],
    ['etc/group', `root:x:0:\njob:x:${sandboxUser}:\njob:x:${firstJobUser}:\nnogroup:x:65534:\n`],
    ['etc/hosts', `127.0.0.1 localhost job\n::1 localhost\n${hostNames()}`],
    ['etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n'],
    ['etc/resolv.conf', `nameserver ${nameServerOfSlirp}\n${searchDomains()}`],
    ['etc/hostname', 'job\n'],
  ]);
}

/** Names that the host knows without a name server; not those of its loopback, which is another one in the sandbox. */
function hostNames(): string {
  const lines = readLines('/etc/hosts').filter(
    (line) => /^[0-9a-fA-F.:]+\s/.test(line) && !/^(?:127\.|::1\s|f[ef]0)/.test(line),
  );
  return lines.map((line) => `${line}\n`).join('');
}

function searchDomains(): string {
  const lines = readLines('/etc/resolv.conf').filter((line) => /^(?:search|domain|options)\s/.test(line));
  return lines.map((line) => `${line}\n`).join('');
}

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch {
    return [];
  }
}

/** Certificates under /usr and /etc/ssl/certs are there anyway; others are copied in. */
function certificateInside(path: string, index: number): string {
  return /^\/(?:usr|etc\/ssl\/certs|etc\/pki)(?:\/|$)/.test(path) ? path : `/etc/loam/certificates-${index}.pem`;
}

/** What tells that a file or folder of the host is another one now. */
function describe(path: string): string {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return `${path}>${readlinkSync(path)}\n`;
  if (!stat.isDirectory()) return `${path} ${stat.size} ${stat.mtimeMs}\n`;
  return readdirSync(path)
    .toSorted()
    .map((name) => describe(join(path, name)))
    .join('');
}

function isPlain(path: string): boolean {
  const stat = lstatSync(path);
  const isReadable = stat.isSymbolicLink() || (stat.mode & 0o004) !== 0;
  return isReadable && (stat.isFile() || stat.isDirectory() || stat.isSymbolicLink());
}

function place(path: string): string {
  mkdirSync(dirname(path), { recursive: true });
  return path;
}

function publish(draft: string, folder: string): void {
  try {
    renameSync(draft, folder);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(folder)) throw error; // else another Loam laid the same files at the same time
  }
}
