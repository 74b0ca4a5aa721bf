import { lstatSync, readlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import type { JobSpec } from '../../../ports/executor.ts';
import { entryScript, forwardInside, jobEnvironment, socketInside, sourceInside } from '../job/entry-script.ts';
import type { JobFolder } from '../job/job-folder.ts';
import { sandboxUser } from './host-files.ts';

/**
 * How a job loses Loam's rights. `other-user`: Loam is root, builds the sandbox with its own rights and gives the job a user id that owns nothing.
 * `user-namespace`: Loam is an ordinary user, and so is the job, in a namespace of its own. `none`: no sandbox.
 */
export type Isolation = 'other-user' | 'user-namespace' | 'none';

/** What the sandboxes of this host have in common. */
export interface SandboxHost {
  readonly isolation: Isolation;
  readonly bwrapPath: string;
  readonly etc: string;
  readonly toolFolders: readonly string[];
  readonly path: string;
  readonly certificateVariables: Readonly<Record<string, string>>;
  readonly nodePath: string;
  readonly forwardPath: string;
  /** Loam's data: must not be seen, also where the system's folders or a tool's would show it. */
  readonly dataFolder: string;
}

export type SandboxNetwork = 'none' | 'prepared' | 'host';

const tmpBytes = 1024 ** 3;

/** The options of bwrap. They hold the job's environment with its secrets: only for a file descriptor, never for a command line (I7). */
export function sandboxArguments(
  host: SandboxHost,
  job: JobSpec,
  folder: JobFolder,
  network: SandboxNetwork,
): readonly string[] {
  return [
    ...['--unshare-ipc', '--unshare-pid', '--unshare-uts', '--unshare-cgroup-try', '--hostname', 'job'],
    ...(network === 'none' ? ['--unshare-net'] : []),
    ...rights(host.isolation),
    ...['--die-with-parent', '--new-session', '--clearenv'],
    ...systemMounts(),
    ...['--proc', '/proc', '--dev', '/dev'],
    ...['--perms', '1777', '--size', String(tmpBytes), '--tmpfs', '/dev/shm'],
    ...['--perms', '1777', '--size', String(tmpBytes), '--tmpfs', '/tmp'],
    ...['--ro-bind', host.etc, '/etc'],
    ...(network === 'host'
      ? ['--ro-bind-try', '/etc/resolv.conf', '/etc/resolv.conf', '--ro-bind-try', '/etc/hosts', '/etc/hosts']
      : []),
    ...[...new Set(['/home', '/run/loam', ...host.toolFolders.map((path) => dirname(path))])].flatMap(openFolder),
    ...host.toolFolders.flatMap((path) => ['--ro-bind-try', path, path]),
    ...hide(host),
    ...['--bind', folder.work, '/work', '--bind', folder.out, '/out', '--bind', folder.home, '/home/job'],
    ...(job.source === undefined ? [] : ['--ro-bind', job.source, sourceInside]),
    ...socketMounts(host, job),
    ...['--remount-ro', '/', '--chdir', '/work'],
    ...Object.entries(
      jobEnvironment(job, {
        PATH: host.path,
        HOME: '/home/job',
        TMPDIR: '/tmp',
        LOAM_OUT: '/out',
        ...host.certificateVariables,
      }),
    ).flatMap(([name, value]) => ['--setenv', name, value]),
  ];
}

/** The program in the sandbox: becomes the job's user, then a shell that runs the script. */
export function sandboxCommand(host: SandboxHost, job: JobSpec, user: number, group: number): readonly string[] {
  const drop = [
    'setpriv',
    `--reuid=${user}`,
    `--regid=${group}`,
    '--clear-groups',
    '--bounding-set=-all',
    '--inh-caps=-all',
  ];
  return [
    ...(host.isolation === 'other-user' ? drop : []),
    'sh',
    '-c',
    entryScript(job, sourceInside, `/run/loam/node ${forwardInside}`),
  ];
}

function rights(isolation: Isolation): readonly string[] {
  const none = ['--cap-drop', 'ALL'];
  if (isolation === 'other-user')
    return [...none, ...['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'].flatMap((name) => ['--cap-add', name])];
  return ['--unshare-user', '--uid', String(sandboxUser), '--gid', String(sandboxUser), ...none];
}

/** Where bwrap makes the folders above a mount itself, they are as closed as what is mounted: the job's user could not pass. */
function openFolder(path: string): readonly string[] {
  const parent = dirname(path);
  return [...(parent === '/' ? [] : openFolder(parent)), '--perms', '0755', '--dir', path];
}

function systemMounts(): readonly string[] {
  const mounts = ['--ro-bind', '/usr', '/usr'];
  for (const path of ['/bin', '/sbin', '/lib', '/lib32', '/lib64']) {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isSymbolicLink() === true) mounts.push('--symlink', readlinkSync(path), path);
    else if (stat !== undefined) mounts.push('--ro-bind', path, path);
  }
  return mounts;
}

function hide({ dataFolder, toolFolders }: SandboxHost): readonly string[] {
  const isShown = ['/usr', '/bin', '/sbin', '/lib', ...toolFolders].some((shown) => dataFolder.startsWith(`${shown}/`));
  return isShown ? ['--perms', '0755', '--tmpfs', dataFolder, '--remount-ro', dataFolder] : [];
}

function socketMounts(host: SandboxHost, job: JobSpec): readonly string[] {
  if (job.sockets.length === 0) return [];
  const sockets = job.sockets.flatMap(({ path }, index) => ['--bind', path, socketInside(index)]);
  return ['--ro-bind', host.nodePath, '/run/loam/node', '--ro-bind', host.forwardPath, forwardInside, ...sockets];
}
