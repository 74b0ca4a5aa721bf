import type Docker from 'dockerode';
import type { ContainerCreateOptions, ContainerInspectInfo } from 'dockerode';
import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../../../core/errors.ts';
import { openEngine, reasonOf, statusOf, unless } from '../../engine/engine.ts';

const requestMs = 60_000;
const goneMs = 30_000;

export type ContainerState = Pick<ContainerInspectInfo['State'], 'Status' | 'Running' | 'OOMKilled'> & {
  readonly labels: Readonly<Record<string, string>>;
};

/** The requests that jobs need, with the engine's answers told apart: what is absent, what is taken, and `executor-unavailable` for all that is the engine's own fault. */
export class Engine {
  readonly #socketPath: string;
  readonly #docker: Docker;
  /** Without a time limit: for the question that is answered when a job ends. */
  readonly #patient: Docker;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
    this.#docker = openEngine(socketPath, { timeoutMs: requestMs });
    this.#patient = openEngine(socketPath);
  }

  /** Version of the engine. */
  async version(): Promise<string> {
    return this.#ask(async () => (await this.#docker.version()).Version);
  }

  /** Throws `image-missing`. */
  async requireImage(image: string): Promise<void> {
    const found = await this.#ask(() => unless([404], this.#docker.getImage(image).inspect()));
    if (found === undefined) throw imageMissing(image);
  }

  /** Undefined: there is no such container. */
  async find(name: string): Promise<ContainerState | undefined> {
    const found = await this.#ask(() => unless([404], this.#docker.getContainer(name).inspect()));
    if (found === undefined) return undefined;
    const { Status, Running, OOMKilled } = found.State;
    return { Status, Running, OOMKilled, labels: found.Config.Labels };
  }

  /** Whether this call made it; false: its name is taken. Throws `image-missing`. */
  async create(options: ContainerCreateOptions & { readonly Image: string }): Promise<boolean> {
    return this.#ask(async () => {
      try {
        await this.#docker.createContainer(options);
        return true;
      } catch (error) {
        const [status, reason] = [statusOf(error), reasonOf(error)];
        if (status === 409) return false;
        if (status === 404 && /no such image/i.test(reason)) throw imageMissing(options.Image);
        throw error;
      }
    });
  }

  /** One that runs already is left alone. Throws `image-unusable`. */
  async start(name: string): Promise<void> {
    await this.#ask(async () => {
      try {
        await unless([304], this.#docker.getContainer(name).start());
      } catch (error) {
        const [status, reason] = [statusOf(error), reasonOf(error)];
        if (status !== 404 && /no such file|not found|exec format|permission denied/i.test(reason))
          throw new DomainError('image-unusable', `the image of the job has no /bin/sh that runs here: ${reason}`, {
            cause: error,
          });
        throw error;
      }
    });
  }

  /** Resolves when it does not run (any more). */
  async untilEnded(name: string, signal: AbortSignal): Promise<void> {
    const options = { condition: 'not-running', abortSignal: signal } as const;
    await this.#ask(() => unless([404], this.#patient.getContainer(name).wait(options)));
  }

  /** One that does not run, or is not there, is left alone. */
  async signal(name: string, signal: string): Promise<void> {
    await this.#ask(() => unless([404, 409], this.#docker.getContainer(name).kill({ signal })));
  }

  /** With its volumes. Resolves when it is gone, also when another one removes it at the same time. */
  async remove(name: string): Promise<void> {
    const deadline = performance.now() + goneMs;
    for (;;) {
      await this.#ask(() => unless([404, 409], this.#docker.getContainer(name).remove({ force: true, v: true })));
      if ((await this.find(name)) === undefined) return;
      if (performance.now() > deadline)
        throw new DomainError('executor-unavailable', `the engine does not remove the container ${name}`);
      await delay(50);
    }
  }

  /** A bridge whose containers do not reach each other. */
  async ensureNetwork(name: string): Promise<void> {
    await this.#ask(async () => {
      if ((await unless([404], this.#docker.getNetwork(name).inspect())) !== undefined) return;
      const options = { Name: name, Driver: 'bridge', CheckDuplicate: true, Labels: { 'loam.managed': 'true' } };
      const isolated = { 'com.docker.network.bridge.enable_icc': 'false' };
      await unless([409], this.#docker.createNetwork({ ...options, Options: isolated }));
    });
  }

  async #ask<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof DomainError) throw error;
      const [status, reason] = [statusOf(error), reasonOf(error)];
      const what = status === undefined ? 'does not answer' : 'answered with an error';
      throw new DomainError('executor-unavailable', `the Docker engine on ${this.#socketPath} ${what}: ${reason}`, {
        cause: error,
      });
    }
  }
}

function imageMissing(image: string): DomainError {
  return new DomainError(
    'image-missing',
    `the Docker engine has no image ${image}: bring it with "docker pull ${image}", or name another one in LOAM_DOCKER_IMAGE`,
  );
}
