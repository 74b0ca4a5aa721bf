// Cases of the bench of jobs, each on a whole Loam: a job that writes much, and one that counts while its worker is killed.
import { setTimeout as delay } from 'node:timers/promises';
import type { Loam } from '../support/loam.ts';
import { waitFor } from '../support/loam.ts';
import { peekLog } from '../support/runs.ts';
import { kill } from '../support/victims.ts';
import type { BenchApplication } from './application.ts';
import { awaitEnd, pidOf, residentMiB } from './observe.ts';

/** Below the most that a job may write. */
export const logMiB = 200;
export const logCommand = `yes "a line of a log, as long as such lines are on the whole" | head -c ${logMiB * 1024 ** 2}`;
const header = 'version: 1\napplications: {bench: {start: node server.mjs}}\nworkflow:\n';
export const logPlan = `${header}  write: {type: repo_job, network: none, cmd: ${JSON.stringify(logCommand)}}\n`;
/** Much longer than it takes for a worker to be killed and another to go on. */
export const countingPlan = `${header}  count: {type: repo_job, network: none, cmd: 'for i in $(seq 5000); do echo line $i; sleep 0.02; done'}\n`;

export interface LogTimes {
  /** MiB a second, from the start of the task to its end: with sandbox and sealed log. */
  readonly rate: number;
  /** What the worker held at its peak, over what it held before. */
  readonly grownMiB: number;
}

export async function measureLog(loam: Loam, application: BenchApplication, sha: string): Promise<LogTimes> {
  const pid = pidOf(loam, 'worker');
  const before = residentMiB(pid);
  let peak = before;
  const { run } = await application.deliver(sha);
  const sampling = setInterval(() => (peak = Math.max(peak, residentMiB(pid))), 100);
  try {
    const { tasks } = await awaitEnd(loam, run, 'succeeded', 300_000);
    const [task] = tasks;
    if (task?.startedAt == null || task.finishedAt === null) throw new Error(`run ${run} left no times`);
    return { rate: logMiB / ((task.finishedAt - task.startedAt) / 1000), grownMiB: peak - before };
  } finally {
    clearInterval(sampling);
  }
}

/** Milliseconds from kill -9 of the worker until the log that people see has grown. */
export async function measureRecovery(loam: Loam, application: BenchApplication, sha: string): Promise<number> {
  const { run } = await application.deliver(sha);
  await waitFor('some lines are stored', async () => (await peekLog(loam, run, 'count')).includes('line 20\n'));
  await kill(loam, 'worker', '');
  const killedAt = performance.now();
  const stored = (await peekLog(loam, run, 'count')).length;
  while ((await peekLog(loam, run, 'count')).length === stored) {
    if (performance.now() - killedAt > 120_000) throw new Error(`the log of ${run} does not go on`);
    await delay(100);
  }
  const ms = performance.now() - killedAt;
  await loam.api('POST', `/v1/runs/${run}/cancel`);
  await awaitEnd(loam, run, 'cancelled');
  return ms;
}
