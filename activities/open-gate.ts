// Keeps I4: a gate is bound to the digests of what comes after it, and a decision is believed only as the database has it.
import { compareConfig } from '../src/core/gate/compare-config.ts';
import { DomainError } from '../src/core/errors.ts';
import type { Gate, GatePreview, GateSubject } from '../src/core/gate/gate.ts';
import type { ApprovalTask, DeployStackTask } from '../src/core/graph/graph.ts';
import type { CompiledPlan } from '../src/core/plan/plan.ts';
import type { Environment, Release, RunRow } from '../src/ports/store.ts';
import { attemptKey } from './attempt.ts';
import { readPlan, readRun, readSource } from './compiled-plan.ts';
import { findTemplate, subjectOf } from './deploy-admission.ts';
import type { FoundTemplate } from './deploy-admission.ts';
import type { Room } from './dependencies.ts';
import { whileBeating } from './interruption.ts';
import { findReleaseConfig } from './redeploy.ts';
import type { GateOpening, RunActivities, TaskInput } from './types.ts';

const shownCommits = 50;

export function openGate(room: Room, input: TaskInput<ApprovalTask>): Promise<GateOpening> {
  return whileBeating(room.limits.heartbeatEveryMs, (signal) => open(room, input, signal));
}

async function open(room: Room, input: TaskInput<ApprovalTask>, signal: AbortSignal): Promise<GateOpening> {
  const { run, task, planDigest } = input;
  await room.store.tasks.begin(attemptKey(input), room.hostId);
  const row = await readRun(room, run);
  const plan = await readPlan(room, planDigest);
  const environment = await room.store.environments.get(row.application, task.environment);
  if (environment === undefined) {
    throw new DomainError('environment-unregistered', `environment ${task.environment} is not registered`);
  }
  const covered = await findCovered(room, input, plan);
  const { gate, decision } = await room.store.gates.open({
    run,
    gate: task.name,
    environment: task.environment,
    subjects: covered.map(({ subject }) => subject),
    preview: await makePreview(room, { row, plan, environment, covered, signal }),
    timeoutMs: task.timeoutMs,
  });
  return openingOf(room, gate, decision);
}

/** What a workflow is told of a gate. */
export function openingOf(
  room: Room,
  { opening, deadlineAtMs }: Pick<Gate, 'opening' | 'deadlineAtMs'>,
  decision: GateOpening['decision'],
): GateOpening {
  return {
    opening,
    remainingMs: Math.max(0, deadlineAtMs - room.clock.nowMs()),
    decision: decision === undefined ? undefined : { id: decision.id, verdict: decision.verdict, by: decision.by },
  };
}

interface Covered {
  readonly deploy: DeployStackTask;
  readonly subject: GateSubject;
  readonly found: FoundTemplate;
}

/** What will be deployed after the gate, by digest. Its templates exist already: a gate before them could be bound to nothing. */
async function findCovered(
  room: Room,
  { run, task }: TaskInput<ApprovalTask>,
  plan: CompiledPlan,
): Promise<readonly Covered[]> {
  const deploys = plan.graph.tasks.filter(
    (one): one is DeployStackTask => one.type === 'deploy_stack' && task.covers.includes(one.name),
  );
  return Promise.all(
    deploys.map(async (deploy) => {
      const found = await findTemplate(room, run, deploy.template);
      return { deploy, subject: subjectOf(deploy.name, found), found };
    }),
  );
}

interface PreviewInput {
  readonly row: RunRow;
  readonly plan: CompiledPlan;
  readonly environment: Environment;
  readonly covered: readonly Covered[];
  readonly signal: AbortSignal;
}

async function makePreview(
  room: Room,
  { row, plan, environment, covered, signal }: PreviewInput,
): Promise<GatePreview> {
  const live = await findLive(room, environment);
  const [first] = covered;
  const before = live?.config ?? {};
  // A gate that covers no deploy changes no settings.
  const after =
    first === undefined
      ? before
      : await findReleaseConfig(room, { deploy: first.deploy, template: first.found.template, plan, environment });
  return {
    application: row.application,
    fromRelease: live?.number,
    fromCommit: live?.commit,
    toCommit: row.commit,
    ...(await listCommits(room, row, live, signal)),
    ...compareConfig(before, after),
    digest: first?.subject.image,
  };
}

async function findLive(room: Room, { application, name, liveRelease }: Environment): Promise<Release | undefined> {
  return liveRelease === undefined ? undefined : room.store.releases.get(application, name, liveRelease);
}

async function listCommits(
  room: Room,
  row: RunRow,
  live: Release | undefined,
  signal: AbortSignal,
): Promise<Pick<GatePreview, 'commits' | 'moreCommits'>> {
  const { git: source } = await readSource(room, row);
  await room.git.fetch(source, row.commit, signal);
  const commits = await room.git.log(source, live?.commit, row.commit, shownCommits + 1, signal);
  return { commits: commits.slice(0, shownCommits), moreCommits: commits.length > shownCommits };
}

export async function readDecision(
  room: Room,
  { run, gate, decisionId }: Parameters<RunActivities['readDecision']>[0],
): ReturnType<RunActivities['readDecision']> {
  const decision = await room.store.gates.decision(decisionId);
  if (decision?.run !== run || decision.gate !== gate) {
    throw new DomainError('gate-unknown', `${decisionId.slice(0, 80)} is not a decision of gate ${gate} of run ${run}`);
  }
  const { id, verdict, by, opening } = decision;
  return { id, verdict, by, opening };
}
