import { readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

export interface ToolSearch {
  /** The PATH whose programs jobs may use. */
  readonly toolPath: string;
  readonly home: string;
  /** Folders that no job may see, such as Loam's data folder. */
  readonly hidden: readonly string[];
}

export interface Tools {
  /** Folders beside the system's own that the sandbox shows read-only, parents before children. */
  readonly folders: readonly string[];
  /** PATH inside the sandbox. */
  readonly path: string;
}

const systemFolders = ['/usr', '/bin', '/sbin', '/lib', '/lib64'];
const maxFolders = 64;

/**
 * Where the programs of a PATH really lie. A node of nvm or a python of pyenv is in the home folder, which the sandbox must not show: so only the
 * prefix of the installation, never the home folder, nor anything that holds Loam's data (I8).
 */
export function findTools(search: ToolSearch): Tools {
  const folders: string[] = [];
  const path = new Set<string>();
  for (const entry of new Set(search.toolPath.split(':'))) {
    const folder = isOffered(entry) ? realFolder(entry) : undefined;
    if (folder === undefined || !show(folder, folders, search)) continue;
    path.add(isWithin(entry, '/usr') ? entry : folder);
    for (const target of linkTargets(folder)) show(target, folders, search);
  }
  for (const folder of ['/usr/local/bin', '/usr/bin', '/bin']) path.add(folder);
  return { folders: folders.toSorted((a, b) => a.length - b.length), path: [...path].join(':') };
}

/** npm puts the programs of Loam's own packages on the PATH: those are not the job's. */
function isOffered(entry: string): boolean {
  return entry.startsWith('/') && !entry.endsWith('/node_modules/.bin') && !entry.endsWith('/node-gyp-bin');
}

/** False when it must not be shown. */
function show(folder: string, folders: string[], search: ToolSearch): boolean {
  if (isShown(folder, folders)) return true;
  const prefix = [installationPrefix(folder, search.home), folder].find((candidate) => mayShow(candidate, search));
  if (prefix === undefined || folders.length >= maxFolders) return false;
  folders.push(prefix);
  return true;
}

/** `/opt/node` for `/opt/node/bin`. In the home folder only what looks like an installation: `~/.cargo` and `~/.local` hold credentials beside their programs. */
function installationPrefix(folder: string, home: string): string {
  const parent = dirname(folder);
  if (!['bin', 'sbin', 'shims', 'libexec'].includes(basename(folder))) return folder;
  if (!isWithin(parent, home)) return parent;
  const isInstallation = basename(folder) === 'shims' || realFolder(join(parent, 'lib')) !== undefined;
  return isInstallation && basename(parent) !== '.local' ? parent : folder;
}

function mayShow(folder: string, { home, hidden }: ToolSearch): boolean {
  if (folder.split('/').length < 3 || folder === home || isWithin(home, folder)) return false;
  return !hidden.some((secret) => folder === secret || isWithin(secret, folder) || isWithin(folder, secret));
}

function isShown(folder: string, folders: readonly string[]): boolean {
  return [...systemFolders, ...folders].some((shown) => folder === shown || isWithin(folder, shown));
}

function isWithin(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
}

/** Folders of the files that the links in a folder lead to. */
function linkTargets(folder: string): readonly string[] {
  const targets = new Set<string>();
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue;
    const path = join(folder, entry.name);
    try {
      if (isShown(resolve(folder, readlinkSync(path)), [folder]) && isShown(folder, [])) continue; // stays within the system
      targets.add(dirname(realpathSync(path)));
    } catch {
      // leads nowhere
    }
  }
  return [...targets];
}

function realFolder(path: string): string | undefined {
  try {
    const real = realpathSync(path);
    return statSync(real).isDirectory() ? real : undefined;
  } catch {
    return undefined;
  }
}
