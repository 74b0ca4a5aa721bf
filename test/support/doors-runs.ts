import { createHash, randomUUID } from 'node:crypto';
import { parseApplicationName, parseDigest, parseEnvironmentName, parseTaskName } from '../../src/core/model/ids.ts';
import type { ApplicationName, Digest, RunId } from '../../src/core/model/ids.ts';
import type { CompiledTask, TaskType } from '../../src/core/graph/graph.ts';
import type { Store } from '../../src/ports/store.ts';
import { Secret } from '../../src/ports/secret.ts';
import { shaOf } from './api.ts';

export const thingy = parseApplicationName('thingy');
export const task = parseTaskName;

export function digestOf(text: string): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(text).digest('hex')}`);
}

export async function addThingy(store: Store, name: ApplicationName = thingy): Promise<void> {
  await store.applications.add(
    { name, repositoryUrl: `/nowhere/${name}.git`, local: true, branches: [], trigger: `trigger-${name}` },
    new Secret('s'.repeat(32)),
  );
}

export async function receiveRun(store: Store, name: ApplicationName = thingy): Promise<RunId> {
  const id = randomUUID();
  const answer = await store.deliveries.receive({
    application: name,
    source: 'webhook',
    deliveryId: id,
    bodyDigest: digestOf(id),
    push: {
      ref: 'refs/heads/main',
      before: undefined,
      after: shaOf(id),
      pushedAtMs: Date.now(),
      message: 'Say hello',
      author: 'Ann',
    },
    ignored: undefined,
  });
  if (answer.result !== 'accepted') throw new Error(answer.result);
  return `${name}/${answer.number}` as RunId;
}

/** A started run with the tasks test, build (needs test) and approve (needs build). */
export async function startRun(store: Store, blobs: Map<string, string>): Promise<RunId> {
  const run = await receiveRun(store);
  const planDigest = digestOf(run);
  const tasks: readonly (Pick<CompiledTask, 'name' | 'needs'> & { type: TaskType })[] = [
    { name: task('test'), type: 'repo_job', needs: [] },
    { name: task('build'), type: 'build_image', needs: [task('test')] },
    { name: task('approve'), type: 'approval', needs: [task('build')] },
  ];
  blobs.set(
    planDigest,
    JSON.stringify({
      version: 1,
      graph: { version: 1, onFailure: 'fail-fast', tasks },
      applications: [],
      environments: [],
    }),
  );
  await store.runs.markStarted(run, 'temporal-run');
  await store.runs.claim(run);
  await store.runs.setPlan(run, {
    planDigest,
    snapshot: digestOf('tree'),
    warnings: ['the plan names no version'],
    tasks,
  });
  return run;
}

export async function runTask(
  store: Store,
  run: RunId,
  name: string,
  status: 'succeeded' | 'failed',
  attempt = 1,
): Promise<void> {
  const key = { run, task: task(name), attempt };
  const begun = await store.tasks.begin(key, 'host-1');
  if (begun.type !== 'begun') throw new Error('the attempt has ended');
  const outcome = status === 'succeeded' ? { status, exitCode: 0 } : { status, exitCode: 3, reason: 'exit code 3' };
  await store.tasks.finish(key, begun.owner, { outcome, outputs: { url: 'http://127.0.0.1:1' }, log: undefined });
}

export async function openGate(store: Store, run: RunId, template = 'template'): Promise<void> {
  await store.gates.open({
    run,
    gate: task('approve'),
    environment: parseEnvironmentName('production'),
    subjects: [{ task: task('production'), template: digestOf(template), image: digestOf('image') }],
    preview: {
      application: 'thingy',
      fromRelease: 3,
      fromCommit: shaOf('old'),
      toCommit: shaOf('new'),
      commits: [{ sha: shaOf('new'), subject: 'Say \u001b[31mhello', author: 'Ann' }],
      moreCommits: true,
      configAdded: ['NEW_KEY'],
      configRemoved: ['OLD_KEY'],
      configChanged: ['GREETING'],
      digest: digestOf('image'),
    },
    timeoutMs: 3_600_000,
  });
}
