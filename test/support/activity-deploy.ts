// A run up to its deploy, and what became of the environment.
import type { DeployInput } from '../../activities/types.ts';
import { lockHolder, parseEnvironmentName, parseTaskName } from '../../src/core/model/ids.ts';
import type { Digest, RunId } from '../../src/core/model/ids.ts';
import type { Release } from '../../src/ports/store.ts';
import { call, findTask, push, readLog, resolveRun, thingy } from './activity-room.ts';
import type { ActivityRoom } from './activity-room.ts';

export const staging = parseEnvironmentName('staging');
export const build = parseTaskName('build');

export function deployPlan(version: string): string {
  return `
version: 1
applications:
  thingy: {start: node server.mjs, port: 8080, health: /health, config: {GREETING: hello ${version}}}
environments:
  staging: {compute: process, config: {PLACE: staging}}
workflow:
  build: {type: build_image}
  template: {type: generate_template, application: thingy, image: {get_output: build.digest}}
  staging: {type: deploy_stack, environment: staging, template: {get_output: template}}
`;
}

/** A run up to its deploy: built, template made, lock granted. */
export async function prepareDeploy(room: ActivityRoom, version: string): Promise<DeployInput> {
  const run = await push(room, deployPlan(version));
  const ready = await resolveRun(room, run);
  await finishBuild(room, run, version);
  const base = { run, planDigest: ready.planDigest, attempt: 1 };
  await call(room, 'generate_template', { ...base, task: findTask(ready, 'template', 'generate_template') });
  const task = findTask(ready, 'staging', 'deploy_stack');
  const holder = lockHolder(run, task.name, 1);
  const fence = await call(room, 'takeFence', { application: thingy, environment: staging, holder });
  return { ...base, task, holder, fence };
}

async function finishBuild(room: ActivityRoom, run: RunId, version: string): Promise<Digest> {
  const { digest } = await room.blobs.put(`artifact ${version}`);
  const key = { run, task: build, attempt: 1 };
  const begin = await room.store.tasks.begin(key, 'host-1');
  if (begin.type !== 'begun') throw new Error('build has ended');
  const outputs = { '': digest, digest };
  await room.store.tasks.finish(key, begin.owner, { outcome: { status: 'succeeded' }, outputs, log: undefined });
  return digest;
}

export async function releases(room: ActivityRoom): Promise<readonly Pick<Release, 'number' | 'status'>[]> {
  const rows = await room.store.releases.list(thingy, staging);
  return rows.map(({ number, status }) => ({ number, status })).sort((one, other) => one.number - other.number);
}

export async function serving(room: ActivityRoom): Promise<number | undefined> {
  return (await room.target.live(thingy, staging))?.release;
}

export async function recorded(room: ActivityRoom): Promise<number | undefined> {
  return (await room.store.environments.get(thingy, staging))?.liveRelease;
}

export function running(room: ActivityRoom): readonly number[] {
  return [...room.target.running.values()].map(({ release }) => release);
}

export function logOf(room: ActivityRoom, input: DeployInput): Promise<string> {
  return readLog(room, { run: input.run, task: input.task.name, attempt: input.attempt });
}
