import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createDockerExecutor } from '../../src/adapters/executor/docker/docker-executor.ts';
import type { DockerExecutor, DockerExecutorOptions } from '../../src/adapters/executor/docker/docker-executor.ts';
import type { ExecutorSubject } from '../integration/contracts/executor.ts';
import type { TestEngine } from './engine-host.ts';

/** Executors on one jobs folder and one engine. */
export interface DockerSubject extends ExecutorSubject {
  readonly engine: TestEngine;
  readonly options: DockerExecutorOptions;
  open(): Promise<DockerExecutor>;
}

export async function makeDockerSubject(
  engine: TestEngine,
  over: Partial<DockerExecutorOptions> = {},
): Promise<DockerSubject> {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-containers-'));
  const options = {
    jobsFolder: path.join(folder, 'jobs'),
    socketPath: engine.socketPath,
    image: engine.images.node,
    memoryBytes: 512 * 1024 ** 2,
    cpus: 1,
    ...over,
  };
  return {
    folder,
    engine,
    options,
    open: () => createDockerExecutor(options),
    processes: () => containerProcesses(engine),
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Processes of this host that are in a container of the engine. */
export function containerProcesses({ folder }: TestEngine): readonly string[] {
  const group = `/${path.basename(folder)}/`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => (read(`/proc/${pid}/cgroup`).includes(group) ? [`${pid} ${read(`/proc/${pid}/cmdline`)}`] : []));
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
