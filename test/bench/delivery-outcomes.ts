// What became of each delivery, by what Loam answers afterwards, and whether that is right.
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Loam } from '../support/loam.ts';
import type { Answered } from './delivery-traffic.ts';
import { say } from './program.ts';

export interface Outcome {
  readonly sent: Answered;
  /** Undefined: Loam does not know it. */
  readonly result: string | undefined;
  readonly run: string | null;
  readonly reason: string | null;
}

export interface Outcomes {
  readonly deliveries: readonly Outcome[];
  /** Every run of the application, with the commit and how it ended. */
  readonly runs: readonly { readonly id: string; readonly commit: string; readonly status: string }[];
}

const Delivery = z.object({ result: z.string(), run: z.string().nullable(), reason: z.string().nullable() });
const Runs = z.object({
  runs: z.array(z.object({ id: z.string(), commit: z.string(), status: z.string() })),
});
const ends = ['succeeded', 'failed', 'cancelled', 'skipped'];
const patienceMs = 3_600_000;

/** Waits until the relay has handed on all that it took, and until every run has ended. */
export async function readOutcomes(loam: Loam, answered: readonly Answered[]): Promise<Outcomes> {
  const deadline = performance.now() + patienceMs;
  const deliveries: Outcome[] = [];
  for (const sent of answered) deliveries.push(await readOutcome(loam, sent, deadline));
  for (;;) {
    const runs = await readRuns(loam);
    const open = runs.filter(({ status }) => !ends.includes(status)).length;
    if (open === 0 || performance.now() > deadline) return { deliveries, runs };
    say(`${open} of ${runs.length} runs are under way`);
    await delay(10_000);
  }
}

async function readOutcome(loam: Loam, sent: Answered, deadline: number): Promise<Outcome> {
  for (;;) {
    const { status, body } = await ask(loam, `/v1/deliveries/${sent.delivery}`);
    if (status === 200) return { sent, ...Delivery.parse(body) };
    if (performance.now() > deadline || sent.door === 'api')
      return { sent, result: undefined, run: null, reason: null };
    await delay(1_000); // in the relay's spool, or on its way
  }
}

/** The API may be on its way up. */
async function ask(loam: Loam, route: string): ReturnType<Loam['api']> {
  for (const deadline = performance.now() + 120_000; ;) {
    try {
      const answer = await loam.api('GET', route);
      if (answer.status < 500) return answer;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await delay(200);
  }
}

async function readRuns(loam: Loam): Promise<Outcomes['runs']> {
  const found: Outcomes['runs'][number][] = [];
  for (let before = ''; ;) {
    const { runs } = Runs.parse((await ask(loam, `/v1/runs?application=many&limit=200${before}`)).body);
    found.push(...runs);
    const oldest = runs.at(-1);
    if (oldest === undefined) return found;
    before = `&before=${oldest.id.split('/')[1] ?? ''}`;
  }
}

export function judge(
  commits: readonly string[],
  { deliveries, runs }: Outcomes,
): { readonly counts: string; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const byCommit = Map.groupBy(runs, ({ commit }) => commit);
  for (const commit of commits) {
    const found = byCommit.get(commit) ?? [];
    if (found.length !== 1) problems.push(`${commit} has ${found.length} runs`);
    for (const { id, status } of found) if (status !== 'succeeded') problems.push(`${id} ended as ${status}`);
  }
  if (runs.length !== commits.length) problems.push(`${runs.length} runs for ${commits.length} pushes`);
  for (const outcome of deliveries) problems.push(...problemsOf(outcome, byCommit));
  const accepted = deliveries.filter(({ result }) => result === 'accepted').length;
  if (accepted !== commits.length) problems.push(`${accepted} deliveries were accepted for ${commits.length} pushes`);
  const results = Map.groupBy(deliveries, ({ result }) => result ?? 'unknown');
  const counts = [...results].map(([result, list]) => `${list.length} ${result}`).join(', ');
  return { counts: `${deliveries.length} answered 2xx: ${counts}; ${runs.length} runs`, problems };
}

function problemsOf(
  { sent, result, run, reason }: Outcome,
  byCommit: ReadonlyMap<string, Outcomes['runs']>,
): readonly string[] {
  const name = `delivery ${sent.delivery} by the ${sent.door}`;
  if (result === undefined) return [`${name} is not known`];
  // A repeat of an ignored one: its answer was lost with a process, so it was sent again.
  if (sent.commit === undefined) return run === null && reason !== null ? [] : [`${name} was ${result}`];
  const own = byCommit.get(sent.commit)?.[0]?.id;
  return run === own && ['accepted', 'duplicate'].includes(result) ? [] : [`${name} was ${result} as ${String(run)}`];
}
