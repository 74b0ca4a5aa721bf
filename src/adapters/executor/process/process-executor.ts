import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { RunId, TaskName } from '../../../core/model/ids.ts';
import type { Executor, JobSpec } from '../../../ports/executor.ts';
import type { Logger } from '../../../ports/logger.ts';
import { deleteTree } from '../../host/delete-tree.ts';
import { forwardFile } from '../job/entry-script.ts';
import { prepareJobsFolder } from '../job/job-files.ts';
import { ProcessExecutor } from './executor.ts';
import type { ProcessExecutorParts } from './executor.ts';
import { layHostFiles } from './host-files.ts';
import { Launcher } from './launcher.ts';
import { loopbackNameServer } from './network.ts';
import type { Isolation, SandboxHost } from './sandbox.ts';
import { findTools } from './tools.ts';

export interface ProcessExecutorOptions {
  /** `<data>/jobs`. The folder above it is hidden from jobs. */
  readonly jobsFolder: string;
  /** Undefined: not found; jobs then run without isolation, and only for local applications. */
  readonly bwrapPath: string | undefined;
  /** Undefined: not found; `egress` is then the host's network, and only for local applications. */
  readonly slirp4netnsPath: string | undefined;
  /** The PATH whose programs jobs may use. */
  readonly toolPath: string;
  /** Named in warnings about what this host lacks. */
  readonly hostId: string;
  /** Variables of Loam's own environment that name a file or folder with certificates (`SSL_CERT_FILE`, `NODE_EXTRA_CA_CERTS`): jobs get them too. */
  readonly certificateFiles?: Readonly<Record<string, string>>;
  readonly logger: Logger;
}

const probeMs = 20_000;

/** Finds out, by trying, what this host can isolate; the executor's `limits` say what it cannot. */
export async function createProcessExecutor(options: ProcessExecutorOptions): Promise<Executor> {
  const jobsFolder = resolve(options.jobsFolder);
  await prepareJobsFolder(jobsFolder);
  chmodSync(jobsFolder, 0o700);
  const files = layHostFiles(jobsFolder, options.certificateFiles ?? {});
  const tools = findTools({ toolPath: options.toolPath, home: homeFolder(), hidden: [dirname(jobsFolder)] });
  const common = {
    etc: files.etc,
    certificateVariables: files.certificateVariables,
    toolFolders: tools.folders,
    nodePath: process.execPath,
    dataFolder: dirname(jobsFolder),
  };
  const forwardPath = forwardFile;
  const base = {
    jobsFolder,
    shim: files.shim,
    launcher: new Launcher(options.logger),
    networks: undefined,
    limits: [],
  };

  const reasons: string[] = [];
  for (const isolation of options.bwrapPath === undefined ? [] : isolations()) {
    const host: SandboxHost = {
      ...common,
      forwardPath,
      isolation,
      bwrapPath: options.bwrapPath ?? '',
      path: tools.path,
    };
    const reason = await probe({ ...base, host }, 'none');
    if (reason === undefined) return await withNetworks({ ...base, host }, options);
    reasons.push(reason);
  }
  const why =
    options.bwrapPath === undefined
      ? 'bubblewrap was not found'
      : `bubblewrap does not start here: ${reasons.join('; ')}`;
  options.logger.warn({ hostId: options.hostId, why }, 'jobs run without isolation');
  const host: SandboxHost = { ...common, forwardPath, isolation: 'none', bwrapPath: '', path: options.toolPath };
  return new ProcessExecutor({
    ...base,
    host,
    limits: [
      `not isolated: jobs run as Loam's own user and can read what it reads, reach its network and use all of the machine (${why})`,
    ],
  });
}

/** A user id without a home folder, as in a container, has none to hide. */
function homeFolder(): string {
  try {
    return homedir();
  } catch {
    return '/nonexistent';
  }
}

/** As root, a user of the job's own; where a container forbids it, and for ordinary users, a user namespace. */
function isolations(): readonly Isolation[] {
  return process.getuid?.() === 0 ? ['other-user', 'user-namespace'] : ['user-namespace'];
}

async function withNetworks(parts: ProcessExecutorParts, options: ProcessExecutorOptions): Promise<Executor> {
  const limits = ['memory and disk of a job are not limited, its processes are (4096)'];
  if (parts.host.isolation === 'user-namespace' && process.getuid?.() === 0)
    limits.push('jobs run with the user id of root, without its rights: run Loam as an ordinary user');
  const { slirp4netnsPath } = options;
  let why = slirp4netnsPath === undefined ? 'slirp4netns was not found' : loopbackNameServer();
  if (slirp4netnsPath !== undefined && why === undefined) {
    const networks = { slirpPath: slirp4netnsPath, isolation: parts.host.isolation };
    why = await probe({ ...parts, networks }, 'egress');
    if (why === undefined) {
      parts.launcher.prepare(networks);
      return new ProcessExecutor({ ...parts, networks, limits });
    }
  }
  options.logger.warn({ hostId: options.hostId, why }, 'jobs with egress use the network of the host');
  return new ProcessExecutor({
    ...parts,
    limits: [...limits, `egress uses the host's network, its loopback too (${why ?? ''})`],
  });
}

/** Runs a job that does nothing, in a folder of its own. Answers why it did not go well. */
async function probe(parts: ProcessExecutorParts, network: JobSpec['network']): Promise<string | undefined> {
  const jobsFolder = join(parts.jobsFolder, `.probe-${randomBytes(6).toString('hex')}`);
  mkdirSync(jobsFolder, { mode: 0o700 });
  const key = { run: 'probe/1' as RunId, task: 'probe' as TaskName, attempt: 1 };
  const executor = new ProcessExecutor({ ...parts, jobsFolder });
  const output: Uint8Array[] = [];
  const keep = (bytes: Uint8Array): Promise<void> => Promise.resolve(void output.push(bytes));
  const limits = { timeoutMs: probeMs, outputLimitBytes: 64 * 1024 };
  try {
    await executor.start({
      key,
      source: undefined,
      cmd: 'exit 42',
      env: {},
      secrets: {},
      network,
      local: false,
      sockets: [],
      ...limits,
    });
    const end = await executor.attach(key, {
      fromOffset: 0,
      signal: AbortSignal.timeout(probeMs),
      onOutput: ({ bytes }) => keep(bytes),
    });
    if (end.type === 'exited' && end.exitCode === 42) return undefined;
    return Buffer.concat(output).toString().trim().slice(-300) || `it ended as ${end.type}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await executor.remove(key);
    await deleteTree(jobsFolder);
  }
}
