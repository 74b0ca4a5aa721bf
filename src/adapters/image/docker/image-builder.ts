// Keeps I5 (what was built for an attempt is found again, by digest), I7 (no secret enters an image) and I8 (steps run in the engine's containers).
import { createHash } from 'node:crypto';
import { IncomingMessage } from 'node:http';
import type Docker from 'dockerode';
import { z } from 'zod';
import { DomainError } from '../../../core/errors.ts';
import { isDigest } from '../../../core/model/ids.ts';
import type { Digest } from '../../../core/model/ids.ts';
import type { ImageBuilder, ImageEnd, ImageSpec } from '../../../ports/image-builder.ts';
import type { Logger } from '../../../ports/logger.ts';
import { reasonOf, statusOf, unavailable, unlessAbsent } from '../../engine/engine.ts';
import { openBuildSession } from './build-session.ts';
import type { BuildSession, RegistryLogin } from './build-session.ts';
import { BuildTrace } from './build-trace.ts';
import { whyRefused } from './check-dockerfile.ts';
import { readContext } from './context.ts';
import type { BuildContext } from './context.ts';

export interface DockerImageBuilderOptions {
  readonly engine: Docker;
  /** `host:port/path` that images are pushed to; undefined: they stay on the engine. */
  readonly registry: string | undefined;
  /** `user:password` for the registry; undefined: it asks for none. */
  readonly readLogin: (() => string) | undefined;
  readonly logger: Logger;
}

type Building = Parameters<ImageBuilder['build']>[1];

const Event = z.object({
  id: z.string().optional(),
  aux: z.unknown().optional(),
  error: z.string().optional(),
});

export class DockerImageBuilder implements ImageBuilder {
  readonly #engine: Docker;
  readonly #registry: string | undefined;
  readonly #readLogin: (() => string) | undefined;
  readonly #logger: Logger;

  constructor({ engine, registry, readLogin, logger }: DockerImageBuilderOptions) {
    this.#engine = engine;
    this.#registry = registry;
    this.#readLogin = readLogin;
    this.#logger = logger;
  }

  async build(spec: ImageSpec, building: Building): Promise<ImageEnd> {
    const tag = tagOf(spec);
    const end = await this.#findOrBuild(spec, tag, building);
    if (end.type === 'failed' || this.#registry === undefined) return end;
    building.signal.throwIfAborted();
    const reference = await this.#push(spec, end.digest, this.#registry);
    await building.onOutput(lineOf(`pushed as ${reference}`));
    return { ...end, reference };
  }

  async #findOrBuild(spec: ImageSpec, tag: string, building: Building): Promise<ImageEnd> {
    const known = await this.#find(tag);
    if (known !== undefined) return { type: 'built', digest: known, reference: undefined };
    const context = await readContext(spec.source, spec.dockerfile);
    if (context.dockerfile === undefined) return refused(`the tree has no ${spec.dockerfile}`);
    const reason = whyRefused(context.dockerfile);
    if (reason !== undefined) return refused(`${spec.dockerfile}: ${reason}`);
    building.signal.throwIfAborted();
    const failure = await this.#run(spec, tag, context, building);
    if (failure !== undefined) return failure;
    const digest = await this.#find(tag);
    if (digest === undefined) throw unavailable(new Error('the build ended without an image'));
    this.#logger.info({ ...spec.key, digest }, 'an image was built');
    return { type: 'built', digest, reference: undefined };
  }

  /** The tag is given together with the image, as the last step of the build. */
  async #find(tag: string): Promise<Digest | undefined> {
    const id = (await unlessAbsent(this.#engine.getImage(tag).inspect()))?.Id;
    return id !== undefined && isDigest(id) ? id : undefined;
  }

  async #run(spec: ImageSpec, tag: string, context: BuildContext, building: Building): Promise<ImageEnd | undefined> {
    const { signal } = building;
    let session: BuildSession | undefined;
    try {
      session = await openBuildSession(this.#engine, this.#login());
      const failure = await follow(await this.#startBuild(spec, tag, { context, session, signal }), building);
      signal.throwIfAborted();
      return failure === undefined ? undefined : endOf(failure);
    } catch (error) {
      signal.throwIfAborted();
      // 400: what was asked for cannot be, such as a stage that the Dockerfile does not have.
      if (statusOf(error) === 400) return refused(reasonOf(error));
      throw unavailable(error);
    } finally {
      session?.close();
    }
  }

  /** Not by dockerode's `buildImage`: that one opens a session of its own. */
  async #startBuild(
    spec: ImageSpec,
    tag: string,
    {
      context,
      session,
      signal,
    }: { readonly context: BuildContext; readonly session: BuildSession; readonly signal: AbortSignal },
  ): Promise<NodeJS.ReadableStream> {
    const options = {
      version: '2',
      session: session.id,
      t: tag,
      dockerfile: spec.dockerfile,
      ...(spec.target !== undefined && { target: spec.target }),
      buildargs: { ...spec.args, SOURCE_DATE_EPOCH: String(context.epochSeconds) },
      labels: { ...spec.labels },
      // `egress` is the engine's own bridge, which does not lead to this machine's loopback.
      ...(spec.network === 'none' && { networkmode: 'none' }),
    };
    const { promise, resolve, reject } = Promise.withResolvers<NodeJS.ReadableStream>();
    const call = {
      method: 'POST',
      path: '/build?',
      options,
      file: context.open(),
      isStream: true,
      abortSignal: signal,
    };
    this.#engine.modem.dial({ ...call, statusCodes: { 200: true, 500: 'server error' } }, (error, answer) => {
      if (answer instanceof IncomingMessage) resolve(answer);
      else reject(error ?? new Error('the engine did not answer the build'));
    });
    return promise;
  }

  async #push({ application }: ImageSpec, digest: Digest, registry: string): Promise<string> {
    const repo = `${registry}/${application}`;
    const tag = digest.slice('sha256:'.length);
    try {
      await this.#engine.getImage(digest).tag({ repo, tag });
      const stream = await this.#engine.getImage(repo).push({ tag, authconfig: this.#login() ?? {} });
      let pushed: string | undefined;
      for await (const { error, aux } of eventsOf(stream)) {
        if (error !== undefined) throw new Error(whyNotPushed(registry, error));
        pushed = Pushed.safeParse(aux).data?.Digest ?? pushed;
      }
      if (pushed === undefined) throw new Error(`the push to ${registry} ended without a digest`);
      return `${repo}@${pushed}`;
    } catch (error) {
      throw unavailable(error);
    }
  }

  #login(): RegistryLogin | undefined {
    const login = this.#readLogin?.();
    const serveraddress = this.#registry?.split('/')[0];
    if (login === undefined || serveraddress === undefined) return undefined;
    const colon = login.indexOf(':');
    return { username: login.slice(0, colon), password: login.slice(colon + 1), serveraddress };
  }
}

/** The engine tells a refused login by its text only. */
const refusedLogin = /unauthorized|denied|no basic auth|authentication required|authorization failed/i;

function whyNotPushed(registry: string, error: string): string {
  const isRefused = refusedLogin.test(error);
  return `the push to ${registry} failed: ${error}${isRefused ? ' (is LOAM_REGISTRY_LOGIN right?)' : ''}`;
}

const Pushed = z.object({ Digest: z.string() });

export function createDockerImageBuilder(options: DockerImageBuilderOptions): ImageBuilder {
  return new DockerImageBuilder(options);
}

/** Run, task and attempt alone are not enough: another installation on this engine may count its runs alike. */
function tagOf({ key, application, ...rest }: ImageSpec): string {
  const digest = createHash('sha256').update(JSON.stringify([key.run, key.task, key.attempt, rest]));
  return `loam-build/${application}:${digest.digest('hex').slice(0, 32)}`;
}

function lineOf(text: string): Uint8Array {
  return Buffer.from(`${text}\n`);
}

function refused(reason: string): ImageEnd {
  return { type: 'failed', exitCode: undefined, reason };
}

/** The engine tells one kind of failure from another by its text only. */
function endOf(failure: string): ImageEnd {
  if (/no space left on device|context canceled|transport is closing|rpc error: code = Unavailable/i.test(failure)) {
    throw new DomainError('engine-unavailable', `the container engine failed: ${failure.slice(0, 300)}`);
  }
  const code = /exit code: (\d{1,3})\b/.exec(failure)?.[1];
  const isPrivate = code === undefined && refusedLogin.test(failure);
  const hint = isPrivate ? ' (a base image that is not public must be of LOAM_REGISTRY, with LOAM_REGISTRY_LOGIN)' : '';
  return { type: 'failed', exitCode: code === undefined ? undefined : Number(code), reason: `${failure}${hint}` };
}

/** Hands on what the build writes; gives what it failed with. */
async function follow(stream: NodeJS.ReadableStream, { onOutput }: Building): Promise<string | undefined> {
  const trace = new BuildTrace();
  let failure: string | undefined;
  for await (const event of eventsOf(stream)) {
    failure = event.error ?? failure;
    const lines = event.id === 'moby.buildkit.trace' && typeof event.aux === 'string' ? trace.lines(event.aux) : [];
    if (lines.length > 0) await onOutput(lineOf(lines.join('\n')));
  }
  const rest = trace.flush();
  if (rest.length > 0) await onOutput(lineOf(rest.join('\n')));
  return failure;
}

async function* eventsOf(stream: NodeJS.ReadableStream): AsyncGenerator<z.infer<typeof Event>> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const part of stream) {
    const lines = (rest + decoder.decode(part as Uint8Array, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield Event.parse(JSON.parse(line));
  }
  if (rest.trim() !== '') yield Event.parse(JSON.parse(rest));
}
