import { chmodSync, chownSync, closeSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { ContainerCreateOptions, MountSettings } from 'dockerode';
import type { JobSpec } from '../../../ports/executor.ts';
import { entryScript, jobEnvironment, maxProcesses, socketInside, sourceInside } from '../job/entry-script.ts';
import type { JobFolder } from '../job/job-folder.ts';
import { firstJobUser, openSockets, userOf } from '../job/job-user.ts';
import { forwarder } from './forwarder.ts';

export interface ContainerHost {
  readonly owner: string;
  readonly image: string;
  readonly network: string;
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly certificateFiles: Readonly<Record<string, string>>;
}

export const expiresLabel = 'loam.expires';

/** The shim and its helpers. */
const ownProcesses = 5;
const sharedBytes = 1024 ** 3;
/** The shim keeps the deadline; only what has silenced it lives longer. */
const expiryMs = 10_000;
const shim = join(import.meta.dirname, 'shim.sh');

/** The files that a container of this job is given. Before it is made: a worker that dies in between leaves nothing but a folder, from which the next start goes on. */
export function layFiles(folder: JobFolder, job: JobSpec): void {
  const { user, group } = identity(folder);
  const isRoot = process.getuid?.() === 0;
  openSockets(job, isRoot ? user : undefined);
  mkdirSync(folder.path, { recursive: true, mode: 0o700 });
  for (const path of [folder.work, folder.out, folder.home]) mkdirSync(path, { recursive: true, mode: 0o755 });
  for (const path of [folder.output, folder.exit, folder.begun]) closeSync(openSync(path, 'a', 0o600));
  if (isRoot)
    for (const path of [folder.work, folder.out, folder.home, folder.output, folder.exit, folder.begun])
      chownSync(path, user, group);
  writeFileSync(folder.passwd, `root:x:0:0::/root:/bin/sh\njob:x:${user}:${group}::/home/job:/bin/sh\n`);
  writeFileSync(folder.group, `root:x:0:\njob:x:${group}:\n`);
  for (const path of [folder.passwd, folder.group]) chmodSync(path, 0o644);
}

export function containerOptions(
  host: ContainerHost,
  job: JobSpec,
  folder: JobFolder,
  name: string,
): ContainerCreateOptions & { readonly Image: string } {
  const { user, group } = identity(folder);
  const certificates = Object.entries(host.certificateFiles).filter(([, path]) => isAbsolute(path) && existsSync(path));
  const forward = job.sockets.length === 0 ? undefined : forwarder();
  const environment = jobEnvironment(job, {
    HOME: '/home/job',
    TMPDIR: '/tmp',
    LOAM_OUT: '/out',
    ...Object.fromEntries(certificates.map(([variable], index) => [variable, certificateInside(index)])),
  });
  return {
    name,
    Image: host.image,
    Hostname: 'job',
    User: `${user}:${group}`,
    WorkingDir: '/work',
    Env: Object.entries(environment).map(([variable, value]) => `${variable}=${value}`),
    Entrypoint: ['/bin/sh', '/run/loam/shim.sh', (job.timeoutMs / 1000).toFixed(3), String(job.outputLimitBytes)],
    Cmd: [entryScript(job, sourceInside, forward?.command ?? '')],
    StopSignal: 'SIGKILL',
    Healthcheck: { Test: ['NONE'] },
    Labels: labels(host, job),
    HostConfig: {
      ...hardened(host),
      NetworkMode: job.network === 'egress' ? host.network : 'none',
      Mounts: [
        ...jobMounts(folder),
        ...(job.source === undefined ? [] : [mount(job.source, sourceInside)]),
        ...certificates.map(([, path], index) => mount(path, certificateInside(index))),
        ...(forward?.files ?? []).map(({ path, inside }) => mount(path, inside)),
        ...job.sockets.map(({ path }, index) => mount(path, socketInside(index), 'rw')),
      ],
    },
  };
}

function labels(host: ContainerHost, { key, timeoutMs }: JobSpec): Record<string, string> {
  return {
    'loam.managed': 'true',
    'loam.owner': host.owner,
    'loam.run': key.run,
    'loam.task': key.task,
    'loam.attempt': String(key.attempt),
    [expiresLabel]: String(Date.now() + timeoutMs + expiryMs),
  };
}

function hardened({ memoryBytes, cpus }: ContainerHost): ContainerCreateOptions['HostConfig'] {
  return {
    ReadonlyRootfs: true,
    CapDrop: ['ALL'],
    SecurityOpt: ['no-new-privileges:true'],
    IpcMode: 'private',
    PidsLimit: maxProcesses + ownProcesses,
    Memory: memoryBytes,
    MemorySwap: memoryBytes,
    NanoCpus: cpus * 1e9,
    ShmSize: sharedBytes,
    Tmpfs: {
      '/tmp': `rw,exec,nosuid,nodev,size=${sharedBytes},mode=1777`,
      '/run/loam/tmp': 'rw,noexec,nosuid,nodev,size=65536,mode=1777',
    },
    Ulimits: [{ Name: 'core', Soft: 0, Hard: 0 }],
    LogConfig: { Type: 'none', Config: {} }, // the shim writes it
  };
}

function jobMounts(folder: JobFolder): readonly MountSettings[] {
  return [
    mount(folder.work, '/work', 'rw'),
    mount(folder.out, '/out', 'rw'),
    mount(folder.home, '/home/job', 'rw'),
    // One file each, never their folder: the job could put a link in place of a file that Loam reads.
    mount(folder.output, '/run/loam/output', 'rw'),
    mount(folder.exit, '/run/loam/exit', 'rw'),
    mount(folder.begun, '/run/loam/begun', 'rw'),
    mount(shim, '/run/loam/shim.sh'),
    mount(folder.passwd, '/etc/passwd'),
    mount(folder.group, '/etc/group'),
  ];
}

function mount(source: string, target: string, mode: 'ro' | 'rw' = 'ro'): MountSettings {
  return { Type: 'bind', Source: source, Target: target, ReadOnly: mode === 'ro' };
}

/** Root gives each job a user id of its own; another user could not delete what a job leaves under a foreign one. */
function identity(folder: JobFolder): { readonly user: number; readonly group: number } {
  const [user, group] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  return user === 0 ? { user: userOf(folder.name), group: firstJobUser } : { user, group };
}

function certificateInside(index: number): string {
  return `/run/loam/certificates-${index}.pem`;
}
