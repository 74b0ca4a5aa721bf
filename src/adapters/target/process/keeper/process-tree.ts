import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { identifyProcess, readStat, signalProcess } from '../../../host/process-identity.ts';
import type { ProcessIdentity } from '../../../host/process-identity.ts';

/** A process and all that descend from it, parents first. */
export function readTree(root: ProcessIdentity): readonly ProcessIdentity[] {
  const children = new Map<number, ProcessIdentity[]>();
  for (const pid of listPids()) {
    const stat = readStat(pid);
    if (stat === undefined) continue;
    const siblings = children.get(stat.parent) ?? [];
    siblings.push({ pid, startTime: stat.startTime });
    children.set(stat.parent, siblings);
  }
  const tree = readStat(root.pid)?.startTime === root.startTime ? [root] : [];
  for (const member of tree) tree.push(...(children.get(member.pid) ?? [])); // grows while it is walked
  return tree;
}

function listPids(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Name of the variable that marks every process of a replica, also one that left its group and its parent. */
export const markerName = 'LOAM_REPLICA_ID';

export function markerOf(replicaFolder: string): string {
  return createHash('sha256').update(replicaFolder).digest('hex').slice(0, 24);
}

/** Kills what a keeper that was killed left behind where no sandbox ended it. */
export function killLeftovers(replicaFolder: string): void {
  const mark = Buffer.from(`${markerName}=${markerOf(replicaFolder)}\0`);
  for (const pid of listPids()) {
    const identity = identifyProcess(pid);
    if (identity !== undefined && hasMark(pid, mark)) signalProcess(identity, 'SIGKILL');
  }
}

function hasMark(pid: number, mark: Buffer): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`).includes(mark);
  } catch {
    return false; // another user's, or it ended
  }
}

export type PortHolder = 'nobody' | 'own' | 'foreign';

/** Who answers on 127.0.0.1:<port>: a process of this tree, or somebody else's server that came first? */
export function findPortHolder(port: number, tree: readonly ProcessIdentity[]): PortHolder {
  const inodes = readListeners(port);
  if (inodes.size === 0) return 'nobody';
  return tree.some(({ pid }) => holdsSocket(pid, inodes)) ? 'own' : 'foreign';
}

const loopback = new Set(['0100007F', '0000000000000000FFFF00000100007F']);
const everywhere = new Set(['00000000', '00000000000000000000000000000000']);

/** The sockets that would get a connection to 127.0.0.1; one bound to exactly that address wins over a wildcard. */
function readListeners(port: number): ReadonlySet<string> {
  const listeners = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap(readLines).map(parseListener);
  const here = listeners.filter((listener) => listener?.port === port).filter((listener) => listener !== undefined);
  const exact = here.filter(({ address }) => loopback.has(address));
  const wildcard = here.filter(({ address }) => everywhere.has(address));
  return new Set((exact.length > 0 ? exact : wildcard).map(({ inode }) => inode));
}

interface Listener {
  readonly address: string;
  readonly port: number;
  readonly inode: string;
}

function parseListener(line: string): Listener | undefined {
  const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
  const [address = '', port = ''] = local.split(':');
  return state === '0A' && inode !== undefined ? { address, port: Number.parseInt(port, 16), inode } : undefined;
}

function readLines(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return []; // a host without IPv6
  }
}

function holdsSocket(pid: number, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/fd/${fd}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    });
  } catch {
    return false;
  }
}

function readLink(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}
