import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { createProcessExecutor } from '../../src/adapters/executor/process/process-executor.ts';
import type { ProcessExecutorOptions } from '../../src/adapters/executor/process/process-executor.ts';
import { findOnPath, findTool } from '../../src/adapters/tool/find-tool.ts';
import { bubblewrap } from '../../src/adapters/tool/pins.ts';
import type { ExecutorSubject } from '../integration/contracts/executor.ts';
import { installPackages, mayInstall } from './debian-packages.ts';
import { processesAbout } from './jobs.ts';
import { silentLogger } from './silent-logger.ts';

export interface SandboxTools {
  readonly bwrapPath: string;
  /** Undefined: not here and not to be installed; the suites then test what happens without. */
  readonly slirp4netnsPath: string | undefined;
}

/** PATH of these tests: Node's own folder first, so that jobs find a node. */
export const toolPath = `${path.dirname(process.execPath)}:/usr/sbin:/usr/bin:/sbin:/bin`;

export async function findSandboxTools(): Promise<SandboxTools> {
  const searchPath = `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/bin`;
  const bwrap = await findTool(bubblewrap, {
    given: process.env['LOAM_BWRAP_BIN'],
    searchPath,
    cacheDir: path.join(process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'), 'loam'),
    onProgress: say,
  });
  const found = await findOnPath('slirp4netns', searchPath);
  if (found !== undefined) return { bwrapPath: bwrap.path, slirp4netnsPath: found };
  if (mayInstall()) {
    const problem = await installPackages(['slirp4netns']);
    if (problem !== undefined) say(`it could not be installed: ${problem}`);
  }
  return { bwrapPath: bwrap.path, slirp4netnsPath: await findOnPath('slirp4netns', searchPath) };
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Executors on one jobs folder, which stands for the workers of one host. */
export interface ProcessSubject extends ExecutorSubject {
  readonly options: Omit<ProcessExecutorOptions, 'logger'>;
}

export async function makeProcessSubject(
  tools: Pick<ProcessExecutorOptions, 'bwrapPath' | 'slirp4netnsPath'>,
): Promise<ProcessSubject> {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-jobs-'));
  const certificates = process.env['SSL_CERT_FILE'];
  const options = {
    ...tools,
    jobsFolder: path.join(folder, 'jobs'),
    hostId: 'test',
    toolPath,
    certificateFiles: certificates === undefined ? {} : { SSL_CERT_FILE: certificates },
  };
  return {
    folder,
    options,
    processes: () => processesAbout(folder),
    open: () => createProcessExecutor({ ...options, logger: silentLogger }),
    close: () => rm(folder, { recursive: true, force: true }),
  };
}
