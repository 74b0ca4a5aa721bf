// The measured cases. Each round is independent of the others; the first of a case warms up and is dropped by the caller.
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Loam } from '../support/loam.ts';
import type { Door } from '../support/deliveries.ts';
import type { BenchApplication } from './application.ts';
import type { HandWritten } from './hand-written.ts';
import { awaitEnd, awaitLine, cpuOf, pidOf, readWholeLog } from './observe.ts';

export const hops = 20;

/** The clock of the machine inside the sandbox: what its command prints is when the first command ran. */
export interface Clock {
  readonly command: string;
  readonly pattern: RegExp;
  /** Milliseconds since 1970. */
  readonly toMs: (printed: string) => number;
}

export const wallClock: Clock = {
  command: 'date +%s%N',
  pattern: /(?<!\d)\d{19}(?!\d)/,
  toMs: (printed) => Number(printed) / 1e6,
};

/** For images whose `date` knows no nanoseconds: seconds since the machine started, to 10 ms. */
export function bootClock(): Clock {
  const bootedAtMs = Date.now() - Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1000;
  return {
    command: 'cat /proc/uptime',
    pattern: /\d+\.\d\d/,
    toMs: (printed) => bootedAtMs + Number(printed) * 1000,
  };
}

const header = 'version: 1\napplications: {bench: {start: node server.mjs}}\nworkflow:\n';
function firstPlan({ command }: Clock): string {
  return `${header}  first: {type: repo_job, cmd: ${command}}\n`;
}
/** Its runs end as skipped once the plan is read: they are the door's business only up to there. */
const skippedPlan = `${header.replace('workflow:', 'on: {branches: [release]}\nworkflow:')}  first: {type: repo_job, cmd: 'true'}\n`;

export function chainPlan(): string {
  const lines = Array.from({ length: hops }, (_, index) => {
    const needs = index === 0 ? '' : `, depends_on: job${index}`;
    return `  job${index + 1}: {type: repo_job, cmd: 'true'${needs}}`;
  });
  return `${header}${lines.join('\n')}\n`;
}

/** Webhook to the first command; nobody watches. */
export async function measureFirstCommand(loam: Loam, application: BenchApplication, clock: Clock): Promise<number> {
  const [sha = ''] = await application.commits(firstPlan(clock), 1);
  await settle();
  const { sentAtMs, run } = await application.deliver(sha);
  await awaitEnd(loam, run, 'succeeded');
  const text = clock.pattern.exec(await readWholeLog(loam, run, 'first'))?.[0];
  if (text === undefined) throw new Error(`run ${run} left no time in its log`);
  return clock.toMs(text) - sentAtMs;
}

/** Webhook to the first line in a log tail that is opened as soon as the run has a number. */
export async function measureFirstLine(loam: Loam, application: BenchApplication, clock: Clock): Promise<number> {
  const [sha = ''] = await application.commits(firstPlan(clock), 1);
  await settle();
  const { sentAtMs, run } = await application.deliver(sha);
  const { atMs } = await awaitLine(loam, run, 'first', clock.pattern);
  await awaitEnd(loam, run, 'succeeded');
  return atMs - sentAtMs;
}

export interface ChainTimes {
  /** From the delivery (or the start) to the end of the run, per hop. */
  readonly wholeMs: number;
  /** From the start of the first job to the end of the last, per hop. */
  readonly hopMs: number;
  readonly cpuMs: number;
}

export async function measureChain(loam: Loam, application: BenchApplication, sha: string): Promise<ChainTimes> {
  await settle();
  const worker = pidOf(loam, 'worker');
  const cpuBefore = cpuOf(worker);
  const { sentAtMs, run } = await application.deliver(sha);
  const { tasks, finishedAt } = await awaitEnd(loam, run, 'succeeded');
  const cpuMs = (cpuOf(worker) - cpuBefore) / hops;
  const first = tasks.find(({ name }) => name === 'job1')?.startedAt;
  const last = tasks.find(({ name }) => name === `job${hops}`)?.finishedAt;
  if (first == null || last == null || finishedAt === null) throw new Error(`run ${run} left no times`);
  return { wholeMs: (finishedAt - sentAtMs) / hops, hopMs: (last - first) / hops, cpuMs };
}

export async function measureHandWritten(worker: HandWritten): Promise<ChainTimes> {
  await settle();
  const cpuBefore = cpuOf(worker.pid);
  const wholeMs = (await worker.chain(hops)) / hops;
  return { wholeMs, hopMs: wholeMs, cpuMs: (cpuOf(worker.pid) - cpuBefore) / hops };
}

/** Deliveries one after another: each waits for the answer of the one before. */
export async function measureDoorInTurn(application: BenchApplication, door: Door, count: number): Promise<number[]> {
  const times: number[] = [];
  for (const sha of await application.commits(skippedPlan, count)) {
    times.push((await application.tell(sha, door)).answerMs);
  }
  return times;
}

/** Deliveries at a rate that does not wait for answers; a late start counts as time of the door. */
export async function measureDoorAtRate(
  application: BenchApplication,
  door: Door,
  { perSecond, seconds }: { readonly perSecond: number; readonly seconds: number },
): Promise<number[]> {
  const commits = await application.commits(skippedPlan, perSecond * seconds);
  await settle();
  const startAt = performance.now();
  const calls = commits.map(async (sha, index) => {
    const dueAt = startAt + (index * 1000) / perSecond;
    await delay(Math.max(0, dueAt - performance.now()));
    await application.tell(sha, door);
    return performance.now() - dueAt;
  });
  return Promise.all(calls);
}

/** Lets what the last round left behind (rows, sandboxes, polls) come to rest: the budgets are for an idle machine. */
async function settle(): Promise<void> {
  await delay(250);
}
