import { createHash, createHmac, randomUUID } from 'node:crypto';
import path from 'node:path';
import { createExecTrustProvider } from '../../src/adapters/trust/exec/exec-trust-provider.ts';
import { createStaticTrustProvider } from '../../src/adapters/trust/static/static-trust-provider.ts';
import { createApi } from '../../src/api/create-api.ts';
import type { Api } from '../../src/api/create-api.ts';
import type { Limits } from '../../src/api/guard.ts';
import { serveApi } from '../../src/api/serve.ts';
import type { ApiServer } from '../../src/api/serve.ts';
import { DomainError } from '../../src/core/errors.ts';
import { parseDigest } from '../../src/core/model/ids.ts';
import type { Sha } from '../../src/core/model/ids.ts';
import type { BlobStore } from '../../src/ports/blob-store.ts';
import type { Git } from '../../src/ports/git.ts';
import type { LogKey, LogStore } from '../../src/ports/log-store.ts';
import { Secret } from '../../src/ports/secret.ts';
import type { Store } from '../../src/ports/store.ts';
import type { Role } from '../../src/core/model/access.ts';
import { openTestStore } from './doors-store.ts';
import { checkerOf } from './documented-answers.ts';
import type { CheckAnswer } from './documented-answers.ts';
import { silentLogger } from './run-rows.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The JSON of the answer; `undefined` when it is none. */
  readonly body: Readonly<Record<string, unknown>>;
}

export interface TestApi {
  readonly api: Api;
  readonly server: ApiServer;
  readonly store: Store;
  readonly folder: string;
  readonly logs: FakeLogs;
  readonly git: FakeGit;
  readonly blobs: Map<string, string>;
  readonly wakes: () => number;
  setTemporal(state: 'ok' | 'away'): void;
  token(role: Role): string;
  call(method: string, route: string, options?: CallOptions): Promise<Answer>;
  destroy(): Promise<void>;
}

export interface CallOptions {
  readonly role?: Role | 'nobody';
  readonly json?: unknown;
  readonly body?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface FakeLogs extends Pick<LogStore, 'read' | 'wait'> {
  add(key: LogKey, text: string | Uint8Array): void;
  end(key: LogKey): void;
}

export interface FakeGit extends Git {
  readonly repositories: Set<string>;
  readonly hooks: Map<string, string>;
  readonly refs: Map<string, Sha>;
}

/** For tests of other things, which call in a hurry. */
const unlimited: Limits = { perSecond: 100_000, failuresPerMinute: 100_000 };

/** The API on the real database; Temporal, git, logs and blobs are small fakes. */
export async function startTestApi(
  realGit?: Git,
  limits: Limits = unlimited,
  database: 'own' | 'shared' = 'own',
): Promise<TestApi> {
  const { store, folder, keyFile, destroy } = await openTestStore();
  const logs = makeLogs();
  const git = makeGit();
  const blobs = new Map<string, string>();
  let wakes = 0;
  let temporal = 'ok';
  let url = '';
  const api = createApi({
    store,
    engine: {
      isOpen: () =>
        temporal === 'ok' ? Promise.resolve(false) : Promise.reject(new DomainError('temporal-unavailable', 'away')),
    },
    git: realGit ?? git,
    blobs: makeBlobs(blobs),
    logs,
    trustProviders: [createExecTrustProvider({ logger: silentLogger }), createStaticTrustProvider()],
    logger: silentLogger,
    ownUrl: () => url,
    links: { publicUrl: () => url, relayUrl: undefined, temporalUiUrl: 'http://127.0.0.1:8233', namespace: 'loam' },
    wake: () => {
      wakes += 1;
    },
    dataFolder: folder,
    hookCommand: [process.execPath, path.resolve('src/main/hook.ts')],
    hosts: ['loam.example'],
    addKey: database === 'own' ? () => keyFile.addKey() : undefined,
    limits,
    errorsDocument: path.resolve('docs/errors.md'),
    version: '0.0.0',
    jobCapacity: 2,
  });
  const server = await serveApi(api.app, 0, '127.0.0.1');
  url = server.url;
  const check = checkerOf((await (await fetch(`${url}/v1/openapi.json`)).json()) as Record<string, unknown>);
  const tokens = new Map<string, string>();
  for (const role of ['viewer', 'developer', 'approver', 'admin'] as const) {
    tokens.set(role, `token-of-${role}-${randomUUID()}`);
    const token = { name: `the-${role}`, grants: [{ role }], expiresAtMs: undefined };
    await store.tokens.put(token, new Secret(tokens.get(role) ?? ''));
  }
  return {
    api,
    server,
    store,
    folder,
    logs,
    git,
    blobs,
    wakes: () => wakes,
    setTemporal: (state) => {
      temporal = state;
    },
    token: (role) => tokens.get(role) ?? '',
    call: (method, route, options = {}) => call(`${url}${route}`, method, options, tokens, check),
    destroy: async () => {
      api.close();
      await server.close(100);
      await destroy();
    },
  };
}

async function call(
  url: string,
  method: string,
  options: CallOptions,
  tokens: ReadonlyMap<string, string>,
  check: CheckAnswer,
): Promise<Answer> {
  const { role = 'admin', json, headers = {} } = options;
  const body = json === undefined ? options.body : JSON.stringify(json);
  const response = await fetch(url, {
    method,
    headers: {
      ...(role !== 'nobody' && { authorization: `Bearer ${tokens.get(role) ?? ''}` }),
      ...(json !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : new Uint8Array(body) }),
  });
  const text = await response.text();
  const contentType = response.headers.get('content-type') ?? '';
  check({ method, path: new URL(url).pathname, status: response.status, contentType, text });
  return { status: response.status, headers: response.headers, text, body: parse(text) };
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

export function sign(secret: string, body: string | Uint8Array): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

export function shaOf(text: string): Sha {
  return createHash('sha1').update(text).digest('hex') as Sha;
}

/** Texts by digest. */
function makeBlobs(texts: Map<string, string>): BlobStore {
  return {
    read: (digest) => Promise.resolve(new TextEncoder().encode(texts.get(digest) ?? '')),
    file: (digest) => {
      if (texts.has(digest)) return Promise.resolve(`/nowhere/${digest}`);
      return Promise.reject(new DomainError('blob-missing', `no blob ${digest}`));
    },
    put: (content) => {
      if (typeof content !== 'string') return Promise.reject(new Error('only texts are put here'));
      const digest = parseDigest(`sha256:${createHash('sha256').update(content).digest('hex')}`);
      texts.set(digest, content);
      return Promise.resolve({ digest, sizeBytes: content.length });
    },
  };
}

function makeLogs(): FakeLogs {
  const contents = new Map<string, { bytes: Buffer; ended: boolean }>();
  const at = (key: LogKey): { bytes: Buffer; ended: boolean } => {
    const name = `${key.run} ${key.task} ${key.attempt}`;
    const found = contents.get(name) ?? { bytes: Buffer.alloc(0), ended: false };
    contents.set(name, found);
    return found;
  };
  return {
    add: (key, text) => {
      const log = at(key);
      log.bytes = Buffer.concat([log.bytes, Buffer.from(text)]);
    },
    end: (key) => {
      at(key).ended = true;
    },
    read: (key, offset, maxBytes) => {
      const log = at(key);
      const bytes = log.bytes.subarray(offset, offset + maxBytes);
      const nextOffset = offset + bytes.length;
      return Promise.resolve({ bytes, nextOffset, ended: log.ended && nextOffset >= log.bytes.length });
    },
    wait: async (key, offset, { timeoutMs, signal }) => {
      const deadline = performance.now() + timeoutMs;
      while (performance.now() < deadline && !signal.aborted && at(key).bytes.length <= offset && !at(key).ended) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
}

function makeGit(): FakeGit {
  const repositories = new Set<string>();
  const hooks = new Map<string, string>();
  const refs = new Map<string, Sha>();
  const commit = (sha: Sha) => Promise.resolve({ sha, subject: 'Say hello', author: 'Ann' });
  return {
    repositories,
    hooks,
    refs,
    fetch: (_source, sha) => {
      if ([...refs.values()].includes(sha)) return Promise.resolve();
      return Promise.reject(new DomainError('commit-missing', `no commit ${sha}`));
    },
    readFile: () => Promise.resolve(undefined),
    archive: async function* () {
      // no test of the doors reads a tree
    },
    commit: (_source, sha) => commit(sha),
    log: () => Promise.resolve([]),
    head: (_source, ref) => Promise.resolve(refs.get(ref)),
    heads: () => Promise.resolve(refs),
    createRepository: (folder) => Promise.resolve(repositories.size !== repositories.add(folder).size),
    installHook: (folder, script) => {
      hooks.set(folder, script);
      return Promise.resolve();
    },
  };
}
