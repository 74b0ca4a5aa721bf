import type { CompiledPlan } from '../src/core/plan/plan.ts';
import type { Digest } from '../src/core/model/ids.ts';
import type { RunRow } from '../src/ports/store.ts';
import type { GitSource } from '../src/ports/git.ts';
import { DomainError } from '../src/core/errors.ts';
import type { RunId } from '../src/core/model/ids.ts';
import type { Room } from './dependencies.ts';

/** The plan that the run started with (I9): our own canonical JSON, found by its digest. */
export async function readPlan(room: Room, digest: Digest): Promise<CompiledPlan> {
  const bytes = await room.blobs.read(digest);
  return JSON.parse(new TextDecoder().decode(bytes)) as CompiledPlan;
}

export async function readRun(room: Room, run: RunId): Promise<RunRow> {
  const row = await room.store.runs.get(run);
  if (row === undefined) throw new DomainError('run-unknown', `there is no run ${run}`);
  return row;
}

export interface RunSource {
  readonly git: GitSource;
  readonly local: boolean;
}

export async function readSource(room: Room, row: RunRow): Promise<RunSource> {
  const git = await room.store.applications.source(row.application);
  return { git, local: git.local };
}
