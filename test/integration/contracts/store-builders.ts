import { createHash, randomBytes } from 'node:crypto';
import { keyBytes } from '../../../src/adapters/secret/key-file.ts';
import type { Keys } from '../../../src/adapters/secret/key-file.ts';
import type { Push } from '../../../src/core/model/delivery.ts';
import {
  formatRunId,
  parseApplicationName,
  parseDigest,
  parseEnvironmentName,
  parseSha,
  parseTaskName,
  type Digest,
  type RunId,
  type Sha,
} from '../../../src/core/model/ids.ts';
import { Secret } from '../../../src/ports/secret.ts';
import type { NewDelivery } from '../../../src/ports/delivery-store.ts';
import type { Application, NewApplication, Store } from '../../../src/ports/store.ts';

/** What a contract suite needs of an adapter. Each call opens an empty store. */
export interface OpenStore {
  readonly store: Store;
  /** The store's own clock, moved by hand. */
  readonly clock: { nowMs: number };
  readonly keys: TestKeys;
  close(): Promise<void>;
}

/** Master keys that change while the store is open. */
export class TestKeys {
  #keys: Keys = [randomBytes(keyBytes)];

  current(): Keys {
    return this.#keys;
  }

  add(): void {
    this.#keys = [randomBytes(keyBytes), ...this.#keys];
  }

  dropOld(): void {
    this.#keys = [this.#keys[0]];
  }
}

export const thingy = parseApplicationName('thingy');
export const staging = parseEnvironmentName('staging');
export const task = {
  test: parseTaskName('test'),
  build: parseTaskName('build'),
  approve: parseTaskName('approve'),
  deploy: parseTaskName('deploy'),
};

export function makeSha(letter: string): Sha {
  return parseSha(letter.repeat(40));
}

export function makeDigest(text: string): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(text).digest('hex')}`);
}

export function makeApplication(change: Partial<NewApplication> = {}): NewApplication {
  return { name: thingy, repositoryUrl: '/tmp/thingy.git', local: true, branches: ['main'], trigger: 'abc', ...change };
}

export async function addApplication(store: Store, change: Partial<NewApplication> = {}): Promise<Application> {
  return store.applications.add(makeApplication(change), new Secret('hook-secret'));
}

export function makePush(change: Partial<Push> = {}): Push {
  return {
    ref: 'refs/heads/main',
    before: makeSha('a'),
    after: makeSha('b'),
    pushedAtMs: 1_000,
    message: 'first',
    author: 'Ada',
    ...change,
  };
}

export function makeDelivery(id: string, change: Partial<NewDelivery> = {}): NewDelivery {
  return {
    application: thingy,
    source: 'hook',
    deliveryId: id,
    bodyDigest: makeDigest(`body of ${id}`),
    push: makePush(),
    ignored: undefined,
    ...change,
  };
}

export function runId(number: number, round = 1): RunId {
  return formatRunId({ application: thingy, number, round });
}

/** An application with one run whose plan has the four tasks. */
export async function addRun(store: Store): Promise<RunId> {
  await addApplication(store);
  await store.deliveries.receive(makeDelivery('d1'));
  const run = runId(1);
  await store.runs.markStarted(run, 'temporal-1');
  await store.runs.claim(run);
  await store.runs.setPlan(run, {
    planDigest: makeDigest('plan'),
    snapshot: makeDigest('tree'),
    warnings: [],
    tasks: [
      { name: task.test, type: 'repo_job' },
      { name: task.build, type: 'build_image' },
      { name: task.approve, type: 'approval' },
      { name: task.deploy, type: 'deploy_stack' },
    ],
  });
  return run;
}
