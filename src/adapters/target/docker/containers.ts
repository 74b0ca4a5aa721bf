// The containers of releases: found or made by name, so that whoever repeats a step after a crash finds what the first one made.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import { DomainError } from '../../../core/errors.ts';
import type { ReleaseReference, ReleaseSpec } from '../../../ports/target.ts';
import { reasonOf, statusOf, unavailable, unlessAbsent } from '../../engine/engine.ts';
import {
  containerName,
  describeContainer,
  environmentFilter,
  installationFilter,
  keptFolder,
  readFacts,
  tokenFile,
} from './container-spec.ts';
import type { ReplicaFacts } from './container-spec.ts';

/** A container as the engine lists it. */
export interface Replica extends ReplicaFacts {
  readonly id: string;
  readonly isRunning: boolean;
}

export type Inspected = Docker.ContainerInspectInfo;

/** From TERM to KILL. */
const stopSeconds = 10;
/** Ports that were free a moment ago and are taken by the time the container starts. */
const maxTries = 100;
const absentMs = 100;

export class Containers {
  readonly #engine: Docker;
  readonly #installation: string;

  constructor(engine: Docker, installation: string) {
    this.#engine = engine;
    this.#installation = installation;
  }

  /** Every replica of a release, started. */
  async start(spec: ReleaseSpec, signal: AbortSignal): Promise<void> {
    const indexes = Array.from({ length: spec.replicas }, (_, index) => index);
    const started = await Promise.allSettled(indexes.map((replica) => this.#ensure(spec, replica, signal)));
    for (const result of started) if (result.status === 'rejected') throw result.reason;
  }

  /** Of one environment, oldest grant first. */
  async list(place: Pick<ReleaseReference, 'application' | 'environment'>): Promise<readonly Replica[]> {
    return this.#list(environmentFilter(this.#installation, place));
  }

  /** By replica. Throws when there is none. */
  async ofRelease(reference: ReleaseReference): Promise<readonly [Replica, ...Replica[]]> {
    const [first, ...others] = (await this.list(reference)).filter((one) => isSame(one.reference, reference));
    if (first !== undefined) return [first, ...others];
    const { application, environment, release, fence } = reference;
    throw new DomainError(
      'internal',
      `release ${application}/${environment}/${release}-${fence} is not on this container engine`,
    );
  }

  inspect(id: string): Promise<Inspected | undefined> {
    return unlessAbsent(this.#engine.getContainer(id).inspect());
  }

  /** The last lines of both streams, in their order. */
  async lastLines(id: string, lines: number): Promise<string> {
    const options = { stdout: true, stderr: true, tail: lines, follow: false } as const;
    const frames = await unlessAbsent(this.#engine.getContainer(id).logs(options));
    return frames === undefined ? '' : readFrames(frames);
  }

  async resume(id: string): Promise<void> {
    await this.#run(id);
  }

  /** Absent: does nothing. */
  async remove(replicas: readonly Replica[]): Promise<void> {
    await Promise.all(
      replicas.map(async ({ id }) => {
        await this.#stop(id);
        await this.#delete(id);
      }),
    );
  }

  /** Every container of this installation; what is stopped so stays stopped until `resume`. */
  async stopAll(): Promise<void> {
    const all = await this.#list(installationFilter(this.#installation));
    await Promise.all(all.map(({ id }) => this.#stop(id)));
  }

  async #list(label: readonly string[]): Promise<readonly Replica[]> {
    const filters = { label: [...label] };
    const found = await this.#engine.listContainers({ all: true, filters }).catch((error: unknown) => {
      throw unavailable(error);
    });
    const replicas = found.flatMap(({ Id, State, Labels }): readonly Replica[] => {
      const facts = readFacts(Labels);
      return facts === undefined ? [] : [{ ...facts, id: Id, isRunning: State === 'running' }];
    });
    return replicas.sort(
      ({ reference: one, replica }, { reference: other, replica: second }) =>
        one.fence - other.fence || one.release - other.release || replica - second,
    );
  }

  async #ensure(spec: ReleaseSpec, replica: number, signal: AbortSignal): Promise<void> {
    const name = containerName(this.#installation, spec.reference, replica);
    for (let tries = 1; ; tries += 1) {
      signal.throwIfAborted();
      if (tries > maxTries) throw unavailable(new Error(`the container ${name} does not appear`));
      const found = await this.inspect(name);
      if (found === undefined) await this.#create(spec, replica);
      if (found === undefined || found.State.Status === 'created') await this.#fill(name, spec);
      signal.throwIfAborted();
      try {
        if (await this.#run(name)) return;
        await delay(absentMs); // its name is taken already, but whoever makes it is not ready
      } catch (error) {
        // Somebody took the port: another container gets another one. Only one that never ran may be thrown away.
        if (tries >= maxTries || !isPortTaken(error)) throw error;
        await this.#delete(name);
      }
    }
  }

  async #create(spec: ReleaseSpec, replica: number): Promise<void> {
    const hostPort = await findFreePort();
    try {
      await this.#engine.createContainer(describeContainer(this.#installation, spec, { replica, hostPort }));
    } catch (error) {
      const status = statusOf(error);
      if (status === 409) return; // another one has just made it
      if (status === 404 || status === 400) throw refusal(spec, status, reasonOf(error));
      throw unavailable(error);
    }
  }

  /** The data folder is the application's, whoever it runs as; a token lies in the container alone. May be done twice. */
  async #fill(name: string, { trustToken }: ReleaseSpec): Promise<void> {
    const archive = pack();
    archive.entry({ name: keptFolder.slice(1), type: 'directory', mode: 0o1777 });
    if (trustToken !== undefined) archive.entry({ name: tokenFile.slice(1), mode: 0o444 }, trustToken.reveal());
    archive.finalize();
    await unlessAbsent(this.#engine.getContainer(name).putArchive(Readable.from(archive), { path: '/' }));
  }

  /** False: there is no such container, or not yet. */
  async #run(name: string): Promise<boolean> {
    try {
      await this.#engine.getContainer(name).start();
      return true;
    } catch (error) {
      const status = statusOf(error);
      if (status === 304) return true; // it runs
      if (status === 404) return false;
      if (status === 400) throw new DomainError('deploy-refused', `the container cannot start: ${reasonOf(error)}`);
      throw unavailable(error);
    }
  }

  async #stop(id: string): Promise<void> {
    await this.#engine
      .getContainer(id)
      .stop({ t: stopSeconds })
      .catch((error: unknown) => {
        if (![304, 404].includes(statusOf(error) ?? 0)) throw unavailable(error);
      });
  }

  /** Returns when it is gone. */
  async #delete(id: string): Promise<void> {
    const container = this.#engine.getContainer(id);
    await container.remove({ force: true, v: true }).catch((error: unknown) => {
      // 409: somebody else removes it at this moment.
      if (![404, 409].includes(statusOf(error) ?? 0)) throw unavailable(error);
    });
    while ((await this.inspect(id)) !== undefined) await delay(20);
  }
}

export function isSame(one: ReleaseReference, other: ReleaseReference): boolean {
  return one.release === other.release && one.fence === other.fence;
}

/** The port of this machine that leads to a replica. */
export function hostPortOf({ HostConfig }: Inspected): number {
  const bindings = Object.values((HostConfig.PortBindings ?? {}) as Record<string, { HostPort?: string }[]>);
  return Number(bindings[0]?.[0]?.HostPort ?? 0);
}

function refusal(spec: ReleaseSpec, status: number, reason: string): DomainError {
  const why =
    status === 404
      ? `the image ${spec.artifact} is not on this container engine; build it here, or pull it`
      : `the engine does not take the container: ${reason}`;
  return new DomainError('deploy-refused', why);
}

function isPortTaken(error: unknown): boolean {
  return error instanceof DomainError && /port is already allocated|address already in use/i.test(error.message);
}

/** Nobody has it at this moment. */
async function findFreePort(): Promise<number> {
  const server = createServer().listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server has no port');
  return address.port;
}

/** Without a terminal the engine sends frames: stream, three zero bytes, length, text. */
function readFrames(frames: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; at + 8 <= frames.length;) {
    const end = at + 8 + frames.readUInt32BE(at + 4);
    parts.push(frames.subarray(at + 8, end));
    at = end;
  }
  return Buffer.concat(parts).toString('utf8');
}
