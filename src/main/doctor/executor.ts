// Where jobs will run: asks the engine, starts nothing.
import { Engine } from '../../adapters/executor/docker/engine.ts';
import type { Config } from '../../config.ts';
import { describe, missing, ok, warning } from './check.ts';
import type { Check } from './check.ts';

const name = 'executor';

export async function checkExecutor({ jobs, docker }: Config): Promise<Check> {
  if (jobs.executor === 'process') return ok(name, 'jobs run as processes (LOAM_EXECUTOR)');
  const engine = new Engine(docker.socket);
  const version = await engine.version().catch(() => undefined);
  if (version === undefined) {
    const found = `no engine answers on ${docker.socket}`;
    if (jobs.executor === 'auto') return ok(name, `jobs run as processes: ${found}`);
    return missing(name, found, 'start Docker, correct LOAM_DOCKER_SOCKET, or set LOAM_EXECUTOR to process');
  }
  try {
    await engine.requireImage(docker.image);
    return ok(name, `jobs run in containers of engine ${version} on ${docker.socket}, image ${docker.image}`);
  } catch (error) {
    const remedy = `docker pull ${docker.image}, or set LOAM_DOCKER_IMAGE`;
    if (jobs.executor === 'docker') return missing(name, describe(error), remedy);
    return warning(name, `jobs run as processes: ${describe(error)}`, remedy);
  }
}
