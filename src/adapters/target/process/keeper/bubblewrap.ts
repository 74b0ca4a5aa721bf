import { spawnSync } from 'node:child_process';
import { lstatSync, readlinkSync } from 'node:fs';

/** Files of /etc that programs need to resolve names and to check certificates; nothing that is secret. */
const etc = [
  'alternatives',
  'ca-certificates',
  'group',
  'hosts',
  'ld.so.cache',
  'localtime',
  'nsswitch.conf',
  'passwd',
  'pki',
  'protocols',
  'resolv.conf',
  'services',
  'ssl',
];

/** The system's programs and libraries, read-only, and nothing of the users' homes. */
function systemArguments(): readonly string[] {
  const roots = ['bin', 'sbin', 'lib', 'lib32', 'lib64'].flatMap((name) => {
    const found = lstatSync(`/${name}`, { throwIfNoEntry: false });
    if (found === undefined) return [];
    return found.isSymbolicLink()
      ? ['--symlink', readlinkSync(`/${name}`), `/${name}`]
      : ['--ro-bind', `/${name}`, `/${name}`];
  });
  const files = etc.flatMap((name) => ['--ro-bind-try', `/etc/${name}`, `/etc/${name}`]);
  return ['--ro-bind', '/usr', '/usr', ...roots, ...files, '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp'];
}

const common = [
  '--unshare-user',
  '--unshare-pid',
  '--unshare-ipc',
  '--unshare-uts',
  '--die-with-parent',
  '--new-session',
  '--cap-drop',
  'ALL',
];

/** For reading a foreign archive: no network, sees the archive and the folder that it fills. */
export function unpackArguments(artifact: string, folder: string): readonly string[] {
  const places = ['--ro-bind', artifact, '/artifact', '--bind', folder, '/app', '--chdir', '/app'];
  return [
    ...common,
    '--unshare-net',
    ...systemArguments(),
    ...places,
    '--clearenv',
    '--setenv',
    'PATH',
    '/usr/bin:/bin',
  ];
}

export interface ApplicationPlaces {
  readonly app: string;
  readonly kept: string;
  readonly toolPrefixes: readonly string[];
  readonly hostname: string;
}

/** For the application: the host's network, its own folders, the tools. */
export function applicationArguments(places: ApplicationPlaces): readonly string[] {
  const tools = places.toolPrefixes.flatMap((prefix) => ['--ro-bind', prefix, prefix]);
  const own = ['--bind', places.app, '/app', '--bind', places.kept, '/data', '--chdir', '/app'];
  return [...common, '--hostname', places.hostname, ...systemArguments(), ...tools, ...own];
}

/** Does bubblewrap work for this user on this host? */
export function canSandbox(bwrapPath: string): boolean {
  const end = spawnSync(bwrapPath, [...common, '--unshare-net', ...systemArguments(), 'true'], {
    env: {},
    timeout: 10_000,
    stdio: 'ignore',
  });
  return end.status === 0;
}
