// Starts a private Docker engine by hand, for one test run, and leaves nothing of it.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Docker from 'dockerode';
import { runProgram } from '../../src/adapters/tool/run-program.ts';
import { identifyProcess, isRunning } from '../../src/adapters/host/process-identity.ts';
import type { ProcessIdentity } from '../../src/adapters/host/process-identity.ts';
import { requireEnginePrograms, systemPath } from './debian-packages.ts';
import { makeImages } from './engine-images.ts';
import type { EngineImages } from './engine-images.ts';

/**
 * How it is kept apart, and reached:
 *
 * - A process and a mount namespace of its own, whose first process dies with the test run: no process and no mount can be left, also after kill -9 of the run.
 * - The network of the host, with a bridge and addresses of its own and without a firewall rule (`iptables=false`), so that it does not disturb an engine that
 *   is there already. Thus what listens on the host reaches a container as with any engine: by a port published on 127.0.0.1, or by the container's address.
 *   Containers reach the host's addresses (not its loopback), but not the internet: nothing masks their addresses.
 * - Its data lies in memory where that is possible; a run that was killed leaves that folder, the bridge and empty cgroups, which the next one deletes.
 */
export interface EngineHost {
  readonly folder: string;
  readonly socketPath: string;
  /** Of this machine, as containers reach it. */
  readonly address: string;
  stop(): Promise<void>;
}

export interface TestEngine {
  /** For `new Docker({ socketPath })`. */
  readonly socketPath: string;
  /** For `DOCKER_HOST`. */
  readonly dockerHost: string;
  /** For `killEngine` and `letEngineStart`. */
  readonly folder: string;
  /** Of this machine, as containers reach it. */
  readonly hostAddress: string;
  readonly images: EngineImages;
}

export interface OwnEngine {
  readonly host: EngineHost;
  readonly engine: TestEngine;
}

const startMs = 60_000;
const prefix = 'loam-engine-';
const root = hasRoom('/dev/shm') ? '/dev/shm' : tmpdir();

/** Images, and what builds and jobs of the tests write. */
function hasRoom(folder: string): boolean {
  if (!existsSync(folder)) return false;
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize > 4 * 1024 ** 3;
}

/** An engine of one's own, to kill it while other tests run, or to go on while another test kills the shared one. */
export async function startEngine(): Promise<OwnEngine> {
  await requireEnginePrograms();
  const host = await startEngineHost();
  try {
    const { folder, socketPath, address } = host;
    const images = await makeImages(socketPath, folder);
    const dockerHost = `unix://${socketPath}`;
    return { host, engine: { socketPath, dockerHost, folder, hostAddress: address, images } };
  } catch (error) {
    await host.stop();
    throw error;
  }
}

export async function startEngineHost(): Promise<EngineHost> {
  await deleteLeftovers();
  const folder = mkdtempSync(path.join(root, prefix));
  const network = await makeNetwork(folder);
  const child = startInit(folder, network);
  const host = {
    folder,
    socketPath: path.join(folder, 'docker.sock'),
    address: network.address,
    stop: () => stopHost(child, folder),
  };
  try {
    await untilItAnswers(host.socketPath, child, folder);
    return host;
  } catch (error) {
    await host.stop();
    throw error;
  }
}

interface EngineNetwork {
  readonly bridge: string;
  readonly address: string;
  readonly pool: string;
}

/** The name of the bridge is the claim: two test runs at once get two. */
async function makeNetwork(folder: string): Promise<EngineNetwork> {
  const routes = (await ip(['-4', 'route', 'show'])).output;
  for (let number = 100; number < 250; number += 1) {
    const bridge = `loamtest${number}`;
    if (routes.includes(`10.${number}.`)) continue;
    if ((await ip(['link', 'add', bridge, 'type', 'bridge'])).exitCode !== 0) continue;
    writeFileSync(path.join(folder, 'owner'), JSON.stringify({ ...identifyProcess(process.pid), number }));
    const address = `10.${number}.0.1`;
    await ip(['addr', 'add', `${address}/24`, 'dev', bridge]);
    const up = await ip(['link', 'set', bridge, 'up']);
    if (up.exitCode !== 0) throw new Error(`the bridge of the test engine does not come up: ${up.reason}`);
    return { bridge, address, pool: `base=10.${number}.128.0/17,size=24` };
  }
  throw new Error('no bridge for the test engine: "ip link add ... type bridge" failed for every name');
}

function ip(options: readonly string[]): ReturnType<typeof runProgram> {
  return runProgram(programPath('ip'), options, { timeoutMs: 10_000 });
}

function programPath(name: string): string {
  const folder = systemPath.split(path.delimiter).find((each) => existsSync(path.join(each, name)));
  return path.join(folder ?? '/usr/bin', name);
}

function startInit(folder: string, { bridge, pool }: EngineNetwork): ChildProcess {
  // setpriv: the kernel ends it with this process. unshare: and everything below with that.
  const namespace = ['unshare', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child=KILL'];
  const engine = [
    ...['dockerd', '-H', `unix://${folder}/docker.sock`, '--pidfile', `${folder}/pid`, '--log-level', 'warn'],
    ...['--data-root', `${folder}/data`, '--exec-root', `${folder}/exec`, '--bridge', bridge],
    ...['--default-address-pool', pool, '--iptables=false', '--ip6tables=false', '--ip-forward=false'],
    ...['--exec-opt', 'native.cgroupdriver=cgroupfs', '--cgroup-parent', cgroupOf(folder)],
  ];
  const script = path.join(import.meta.dirname, 'engine-init.sh');
  return spawn('setpriv', ['--pdeathsig', 'KILL', ...namespace, 'sh', script, folder, ...engine], {
    stdio: 'ignore',
    env: { PATH: systemPath },
  });
}

function cgroupOf(folder: string): string {
  return `/${path.basename(folder)}`;
}

async function untilItAnswers(socketPath: string, child: ChildProcess, folder: string): Promise<void> {
  const engine = new Docker({ socketPath });
  const deadline = AbortSignal.timeout(startMs);
  for (;;) {
    try {
      await engine.ping();
      return;
    } catch (error) {
      if (deadline.aborted || child.exitCode !== null)
        throw new Error(`the test engine does not start: ${readLog(folder)}`, { cause: error });
      await delay(20);
    }
  }
}

function readLog(folder: string): string {
  const file = path.join(folder, 'log');
  return existsSync(file) ? readFileSync(file, 'utf8').slice(-1000) : 'it wrote nothing';
}

async function stopHost(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }
  await deleteHost(folder);
}

/** Kills the engine, not its containers, as a crash would; it stays away until `letEngineStart`. */
export async function killEngine(folder: string): Promise<void> {
  writeFileSync(path.join(folder, 'held'), '');
  for (const pid of engineProcesses(folder)) process.kill(pid, 'SIGKILL');
  await waitUntil(() => engineProcesses(folder).length === 0, 'the killed engine is still there');
}

export async function letEngineStart(folder: string): Promise<void> {
  rmSync(path.join(folder, 'held'), { force: true });
  const engine = new Docker({ socketPath: path.join(folder, 'docker.sock') });
  const answers = () =>
    engine.ping().then(
      () => true,
      () => false,
    );
  await waitUntil(answers, `the test engine does not start again: ${readLog(folder)}`);
}

async function waitUntil(isSo: () => boolean | Promise<boolean>, problem: string): Promise<void> {
  const deadline = AbortSignal.timeout(startMs);
  while (!(await isSo())) {
    if (deadline.aborted) throw new Error(problem);
    await delay(20);
  }
}

function engineProcesses(folder: string): readonly number[] {
  return processesNaming(folder).filter((pid) => commandOf(pid)[0]?.endsWith('dockerd') === true);
}

/** Processes of this machine whose command line names the folder. */
export function processesNaming(folder: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => commandOf(pid).some((word) => word.includes(folder)));
}

function commandOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/** The test run, and the number of its bridge. */
type Owner = ProcessIdentity & { readonly number: number };

/** What test runs left that were killed. */
async function deleteLeftovers(): Promise<void> {
  for (const name of readdirSync(root).filter((each) => each.startsWith(prefix))) {
    const owner = readOwner(path.join(root, name));
    if (owner !== undefined && !isRunning(owner)) await deleteHost(path.join(root, name));
  }
}

/** Undefined: just being made, or of one that died in the moment before it made anything else. */
function readOwner(folder: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(path.join(folder, 'owner'), 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}

/** All that outlives the processes: cgroups, bridges, the folder. */
async function deleteHost(folder: string): Promise<void> {
  await waitUntil(() => processesNaming(folder).length === 0, `processes of ${folder} do not end`);
  const owner = readOwner(folder);
  if (owner !== undefined) await deleteBridges(owner.number);
  deleteCgroups(cgroupOf(folder));
  rmSync(folder, { recursive: true, force: true });
}

/** The engine's own bridge and those of its networks: whatever has an address of its range. */
async function deleteBridges(number: number): Promise<void> {
  const { output } = await ip(['-4', '-o', 'addr', 'show']);
  for (const line of output.split('\n')) {
    const [, name] = /^\d+: (\S+) +inet 10\.(?:\d+)\./.exec(line) ?? [];
    if (name !== undefined && line.includes(` inet 10.${number}.`)) await ip(['link', 'delete', name]);
  }
  await ip(['link', 'delete', `loamtest${number}`]);
}

function deleteCgroups(parent: string): void {
  const roots = ['/sys/fs/cgroup', ...readFolders('/sys/fs/cgroup')];
  for (const folder of roots.map((each) => path.join(each, parent))) {
    for (const child of readFolders(folder)) deleteFolder(child);
    deleteFolder(folder);
  }
}

function readFolders(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(folder, entry.name));
}

function deleteFolder(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // not there, or a process of it is just ending: an empty group disturbs nobody
  }
}
