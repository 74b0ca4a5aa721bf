// Keeps I9 (a run works with the plan that its commit had) and I10 (tree, plan and graph are bounded, refusals have a place).
import { Context } from '@temporalio/activity';
import { DomainError } from '../src/core/errors.ts';
import type { Problem } from '../src/core/errors.ts';
import { branchOf, matchesBranch } from '../src/core/model/branch-filter.ts';
import type { Digest, RunId } from '../src/core/model/ids.ts';
import { checkPlan } from '../src/core/plan/check-plan.ts';
import type { CompiledPlan } from '../src/core/plan/plan.ts';
import { canonicalJson } from '../src/core/template/canonical-json.ts';
import type { Trust } from '../src/ports/credential-store.ts';
import type { Application, RunRow } from '../src/ports/store.ts';
import { cut, describeError, finalError } from './attempt.ts';
import { readPlan } from './compiled-plan.ts';
import type { Room } from './dependencies.ts';
import { whileBeating } from './interruption.ts';
import { admitEnvironments, keptTrusts, readTrusts, warnOfTrustEnds } from './resolve-environments.ts';
import type { ResolveResult } from './types.ts';

const planFile = 'loam.yaml';
const reasonCharacters = 1_500;

export async function resolve(room: Room, input: { readonly run: RunId }): Promise<ResolveResult> {
  try {
    return await whileBeating(room.limits.heartbeatEveryMs, (signal) => resolveRun(room, input.run, signal));
  } catch (error) {
    const final = finalError(error);
    if (final === undefined || final.code === 'run-unknown') throw error;
    room.logger.info({ runId: input.run, ...describeError(error) }, 'run cannot start');
    return { type: 'failed', code: final.code, reason: cut(final.message, reasonCharacters) };
  }
}

async function resolveRun(room: Room, run: RunId, signal: AbortSignal): Promise<ResolveResult> {
  const row = await room.store.runs.claim(run);
  // Asked to end while its start was on its way: the cancel follows the start, and nothing may begin before it is here.
  if (row.cancelRequestedBy !== undefined) await Context.current().cancelled;
  const application = await room.store.applications.get(row.application);
  if (application === undefined) {
    throw new DomainError('application-unknown', `there is no application ${row.application}`);
  }
  // A later round, or this activity's second time: what the row names is what the run uses.
  if (row.planDigest !== undefined && row.snapshot !== undefined) {
    const plan = await readPlan(room, row.planDigest);
    return ready(room, row, {
      planDigest: row.planDigest,
      plan,
      trusts: await readTrusts(room, row.application, plan),
    });
  }
  return readCommit(room, row, application, signal);
}

async function readCommit(
  room: Room,
  row: RunRow,
  application: Application,
  signal: AbortSignal,
): Promise<ResolveResult> {
  const source = await room.store.applications.source(application.name);
  await room.git.fetch(source, row.commit, signal);
  const text = await room.git.readFile(source, row.commit, planFile, room.limits.planBytes, signal);
  if (text === undefined) throw new DomainError('plan-missing', `the commit ${row.commit} has no ${planFile}`);
  const { compiled, errors, warnings } = checkPlan(text);
  if (compiled === undefined) throw new DomainError('plan-invalid', describeProblems(errors));
  guardGraph(room, compiled);
  const mismatch = whyBranchSkipped(compiled, row.ref);
  if (mismatch !== undefined) return { type: 'skipped', reason: mismatch };

  const fromEnvironments = await admitEnvironments(room, { application, compiled, ref: row.ref });
  const snapshot = await room.blobs.put(room.git.archive(source, row.commit, signal), {
    maxBytes: room.limits.snapshotBytes,
    signal,
  });
  const plan = await room.blobs.put(canonicalJson(compiled));
  const trusts = await readTrusts(room, application.name, compiled);
  await room.store.runs.setPlan(row.id, {
    planDigest: plan.digest,
    snapshot: snapshot.digest,
    warnings: [
      ...warnings.map(describeProblem),
      ...fromEnvironments,
      ...warnOfTrustEnds(room, compiled, trusts),
      ...executorLimits(room, compiled),
    ],
    tasks: compiled.graph.tasks.map(({ name, type }) => ({ name, type })),
  });
  return ready(room, row, { planDigest: plan.digest, plan: compiled, trusts });
}

interface Ready {
  readonly planDigest: Digest;
  readonly plan: CompiledPlan;
  readonly trusts: readonly Trust[];
}

async function ready(room: Room, row: RunRow, { planDigest, plan, trusts }: Ready): Promise<ResolveResult> {
  const tasks = await room.store.tasks.list(row.id);
  const seeded = tasks.flatMap(({ name, kept, status, attempt }) =>
    kept || attempt > 0 ? [{ task: name, succeeded: kept && status === 'succeeded', attempts: attempt }] : [],
  );
  return {
    type: 'ready',
    planDigest,
    graph: plan.graph,
    seeded,
    trusts: keptTrusts(trusts),
  };
}

function guardGraph(room: Room, { graph }: CompiledPlan): void {
  const sizeBytes = new TextEncoder().encode(JSON.stringify(graph)).byteLength;
  if (sizeBytes <= room.limits.graphBytes) return;
  throw new DomainError(
    'plan-invalid',
    `the compiled plan has ${sizeBytes} bytes, at most ${room.limits.graphBytes} may be scheduled: use fewer tasks or shorter commands`,
  );
}

function whyBranchSkipped({ onBranches }: CompiledPlan, ref: string): string | undefined {
  if (onBranches === undefined) return undefined;
  const branch = branchOf(ref);
  if (branch !== undefined && matchesBranch(onBranches, branch)) return undefined;
  return `the plan is for the branches ${onBranches.join(', ')}, and this is ${branch ?? ref}`;
}

function executorLimits(room: Room, { graph }: CompiledPlan): readonly string[] {
  const hasJobs = graph.tasks.some(({ type }) => type === 'repo_job' || type === 'build_image');
  return hasJobs ? room.executor.limits.map((limit) => `executor ${room.executor.kind}: ${limit}`) : [];
}

/** A line each, as many as fit; the rest is counted. `loam validate` shows all. */
function describeProblems(problems: readonly Problem[]): string {
  const lines: string[] = [];
  let characters = 0;
  for (const line of problems.map(describeProblem)) {
    characters += line.length + 1;
    if (characters > reasonCharacters - 80) break;
    lines.push(line);
  }
  const rest = problems.length - lines.length;
  return [...lines, ...(rest === 0 ? [] : [`and ${rest} more, see: loam validate`])].join('\n');
}

function describeProblem({ line, column, message, remedy }: Problem): string {
  const place = line === undefined ? planFile : `${planFile}:${line}:${column ?? 1}`;
  return remedy === undefined ? `${place}: ${message}` : `${place}: ${message} (${remedy})`;
}
