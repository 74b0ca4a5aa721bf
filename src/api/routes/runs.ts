import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import { seenApplications } from '../../core/model/access.ts';
import { isSha, parseTaskName } from '../../core/model/ids.ts';
import type { ApplicationName, Sha, TaskName } from '../../core/model/ids.ts';
import { isTerminal, taskStatuses } from '../../core/model/status.ts';
import type { Commit, GitSource } from '../../ports/git.ts';
import type { Token } from '../../ports/credential-store.ts';
import type { RunRow } from '../../ports/store.ts';
import { demand } from '../authenticate.ts';
import { TriggerAnswer } from '../delivery-view.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { serveEvents } from '../event-stream.ts';
import { followRun, followRuns } from '../follow.ts';
import { askedBy, receiveManual } from '../manual-delivery.ts';
import type { AskedBy } from '../manual-delivery.ts';
import { defineRoute, defineStream } from '../route.ts';
import type { Route } from '../route.ts';
import type { RunAddress, RunReader } from '../run-reader.ts';
import { ApplicationNameText, PositiveNumber, ShaText, TaskNameText, text } from '../fields.ts';
import { RunDetail, RunView } from '../schema.ts';
import { viewRun } from '../view.ts';
import { requireApplication } from './applications.ts';

const gitTimeoutMs = 60_000;
const watchedRuns = 50;

export const RunParams = z.object({ application: ApplicationNameText, number: PositiveNumber });
export const RoundQuery = z.object({ round: PositiveNumber.optional() });

export function addressOf(params: z.output<typeof RunParams>, query: z.output<typeof RoundQuery>): RunAddress {
  return { ...params, round: query.round };
}

const ListQuery = z.object({
  application: ApplicationNameText.optional(),
  status: z.enum(taskStatuses).optional(),
  limit: PositiveNumber.pipe(z.int().max(200)).default(20),
  /** Number of a run of that application: only older ones. */
  before: PositiveNumber.optional(),
});

export function runRoutes(dependencies: RouteDependencies, reader: RunReader): readonly Route[] {
  const { store, links } = dependencies;
  const runPath = '/v1/runs/{application}/{number}';
  return [
    defineRoute({
      method: 'get',
      path: '/v1/runs',
      access: 'viewer',
      scope: 'seen',
      summary: 'Lists the runs, newest first',
      query: ListQuery,
      answer: z.object({ runs: z.array(RunView) }),
      handle: async ({ query, caller }) => ({ runs: await listRuns(dependencies, reader, query, caller()) }),
    }),
    defineStream({
      method: 'get',
      path: '/v1/events',
      access: 'viewer',
      scope: 'seen',
      summary: 'The newest runs and each change among them, as server-sent events',
      answers: { 200: { 'text/event-stream': z.string() } },
      query: z.object({ application: ApplicationNameText.optional() }),
      handle: async ({ query, response, signal, caller }) => {
        const filter = {
          among: seenApplications(caller().grants),
          ...(query.application !== undefined && { application: query.application }),
          limit: watchedRuns,
        };
        const read = async (): Promise<RunView[]> => (await store.runs.list(filter)).map((row) => viewRun(links, row));
        await serveEvents(response, signal, (stream) => followRuns(read, stream));
      },
    }),
    defineRoute({
      method: 'get',
      path: runPath,
      access: 'viewer',
      scope: 'application',
      summary: 'Shows a run: its tasks, attempts and gates',
      params: RunParams,
      query: RoundQuery,
      answer: RunDetail,
      handle: async ({ params, query }) => reader.detail((await reader.require(addressOf(params, query))).id),
    }),
    defineStream({
      method: 'get',
      path: `${runPath}/events`,
      access: 'viewer',
      scope: 'application',
      summary: 'A run and each change of it until its end, as server-sent events',
      answers: { 200: { 'text/event-stream': z.string() } },
      params: RunParams,
      query: RoundQuery,
      handle: async ({ params, query, response, signal }) => {
        const { id } = await reader.require(addressOf(params, query));
        await serveEvents(response, signal, (stream) => followRun(reader, id, stream));
      },
    }),
    ...runActions(dependencies, reader, runPath),
  ];
}

function runActions(dependencies: RouteDependencies, reader: RunReader, runPath: string): readonly Route[] {
  const { store, links, wake } = dependencies;
  return [
    defineRoute({
      method: 'post',
      path: '/v1/applications/{application}/runs',
      access: 'developer',
      scope: 'application',
      recorded: ['ref', 'commit'],
      summary: 'Starts a run of a branch or of a commit; the header idempotency-key makes it safe to repeat',
      status: 202,
      params: z.object({ application: ApplicationNameText }),
      body: z.strictObject({ ref: text(300).min(1).optional(), commit: ShaText.optional() }),
      answer: TriggerAnswer,
      handle: ({ params, body, caller, request, signal }) => {
        return triggerByHand(dependencies, { ...params, ...body, ...askedBy(request, caller()) }, signal);
      },
    }),
    defineRoute({
      method: 'post',
      path: `${runPath}/cancel`,
      access: 'developer',
      scope: 'application',
      summary: 'Asks a run to end',
      status: 202,
      params: RunParams,
      answer: RunView,
      handle: async ({ params, caller }) => {
        const row = await reader.require(addressOf(params, {}));
        if (isTerminal(row.status))
          throw new DomainError('run-ended', `The run ${row.id} has ended already: ${row.status}`);
        const asked = await store.runs.requestCancel(row.id, caller().name);
        wake();
        return viewRun(links, asked);
      },
    }),
    defineRoute({
      method: 'post',
      path: `${runPath}/retry`,
      access: 'developer',
      scope: 'application',
      recorded: ['from'],
      summary: 'Runs again what did not succeed, or from a task on; all else is kept',
      status: 202,
      params: RunParams,
      body: z.strictObject({ from: TaskNameText.optional() }),
      answer: RunView,
      handle: async ({ params, body }) => {
        const row = await reader.require(addressOf(params, {}));
        if (!isTerminal(row.status))
          throw new DomainError('run-not-ended', `The run ${row.id} has not ended yet: ${row.status}`);
        const again = body.from === undefined ? [] : await tasksFrom(reader, row, body.from);
        const next = await store.runs.newRound(row.id, again);
        wake();
        return viewRun(links, next);
      },
    }),
  ];
}

async function listRuns(
  dependencies: RouteDependencies,
  reader: RunReader,
  query: z.output<typeof ListQuery>,
  caller: Token,
): Promise<RunView[]> {
  const { application, status, limit, before } = query;
  if (before !== undefined && application === undefined) {
    throw new DomainError(
      'input-invalid',
      'The query before needs application: run numbers are counted per application',
    );
  }
  if (application !== undefined) {
    demand(caller, 'viewer', { application });
    await requireApplication(dependencies, application);
  }
  const oldest =
    before === undefined || application === undefined
      ? undefined
      : await reader.require({ application, number: before, round: undefined });
  const rows = await dependencies.store.runs.list({
    limit,
    among: seenApplications(caller.grants),
    ...(application !== undefined && { application }),
    ...(status !== undefined && { status }),
    ...(oldest !== undefined && { before: oldest.id }),
  });
  return rows.map((row) => viewRun(dependencies.links, row));
}

/** The task and all that needs it, directly or not. */
async function tasksFrom(reader: RunReader, row: RunRow, from: TaskName): Promise<readonly TaskName[]> {
  const plan = await reader.plan(row);
  const tasks = plan?.graph.tasks ?? [];
  if (!tasks.some((task) => task.name === from))
    throw new DomainError('task-unknown', `The run ${row.id} has no task "${from}"`);
  const again = new Set<string>([from]);
  // Tasks stand after all of their needs: one pass finds them all.
  for (const task of tasks) if (task.needs.some((need) => again.has(need))) again.add(task.name);
  return [...again].map(parseTaskName);
}

interface ManualTrigger extends AskedBy {
  readonly application: ApplicationName;
  readonly ref?: string | undefined;
  readonly commit?: Sha | undefined;
}

async function triggerByHand(
  dependencies: RouteDependencies,
  trigger: ManualTrigger,
  signal: AbortSignal,
): Promise<TriggerAnswer> {
  const application = await requireApplication(dependencies, trigger.application);
  const source = await dependencies.store.applications.source(application.name);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(gitTimeoutMs)]);
  const { ref, sha } = await findHead(dependencies, source, trigger, limit);
  const commit = await readCommit(dependencies, source, sha, limit);
  const answer = await receiveManual(dependencies, application.name, trigger, {
    ref,
    after: sha,
    message: commit.subject,
    author: commit.author,
  });
  dependencies.logger.info({ application: application.name, by: trigger.by, ref, commit: sha }, 'run asked for');
  return answer;
}

async function readCommit(
  { git }: RouteDependencies,
  source: GitSource,
  sha: Sha,
  signal: AbortSignal,
): Promise<Commit> {
  await git.fetch(source, sha, signal);
  return git.commit(source, sha, signal);
}

async function findHead(
  { git }: RouteDependencies,
  source: GitSource,
  { ref, commit }: ManualTrigger,
  signal: AbortSignal,
): Promise<{ readonly ref: string; readonly sha: Sha }> {
  const names = ref === undefined ? ['refs/heads/main', 'refs/heads/master'] : [fullRef(ref)];
  if (commit !== undefined) return { ref: names[0] ?? 'refs/heads/main', sha: commit };
  for (const name of names) {
    const sha = await git.head(source, name, signal);
    if (sha !== undefined && isSha(sha)) return { ref: name, sha };
  }
  throw new DomainError(
    'commit-missing',
    `The repository has no ${names.join(' and no ')}: push first, or name another branch`,
  );
}

function fullRef(ref: string): string {
  const full = ref.startsWith('refs/') ? ref : `refs/heads/${ref}`;
  if (/^refs\/[^\p{Cc}\s~^:?*[\\]+$/u.test(full) && !full.includes('..')) return full;
  throw new DomainError('input-invalid', `"${ref.slice(0, 80)}" is not the name of a branch`);
}
