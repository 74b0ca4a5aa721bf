// npm run bench -- waiting: what runs cost that wait for a person, and how fast many start and end.
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Loam } from '../support/loam.ts';
import { closeConnections, createApplication } from './application.ts';
import { makeFigure } from './figure.ts';
import type { Figure } from './figure.ts';
import { pidOf, residentMiB } from './observe.ts';
import { readOptions, say, withLoam } from './program.ts';
import { loadNow, makeReport, publishReport } from './report.ts';

const usage = `npm run bench -- waiting [--json FILE] [--runs N]

  --runs N     how many runs wait together (default 1000)
  --json FILE  also write the report as JSON
`;
const plan = `version: 1
applications: {bench: {start: node server.mjs}}
environments: {place: {compute: process}}
workflow:
  ask: {type: approval, environment: place}
`;
const deadlineMs = 1_800_000;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions(usage, { runs: { standard: 1_000, least: 1 } });
  if (options === undefined) return 2;
  const loadBefore = loadNow();
  await withLoam(async (loam) => {
    const figures = await measure(loam, options.runs);
    const report = makeReport(`npm run bench -- waiting --runs ${options.runs}`, [], figures, loadBefore);
    await publishReport(report, options.json);
  });
  closeConnections();
  return 0;
}

async function measure(loam: Loam, count: number): Promise<readonly Figure[]> {
  const application = await createApplication(loam, 'waiting');
  const { status } = await loam.api('PUT', '/v1/applications/waiting/environments/place', { target: 'process' });
  if (status >= 300) throw new Error(`the environment was answered ${status}`);
  const commits = await application.commits(plan, count);
  const worker = pidOf(loam, 'worker');
  const before = residentMiB(worker);
  say(`starting ${count} runs`);
  const startedAt = performance.now();
  const runs: string[] = [];
  for (const sha of commits) runs.push((await application.deliver(sha)).run);
  await untilAll(loam, runs, 'paused');
  const startSeconds = (performance.now() - startedAt) / 1000;
  const waiting = residentMiB(worker);
  say(`cancelling them`);
  const endedAt = performance.now();
  for (const run of runs) await loam.api('POST', `/v1/runs/${run}/cancel`);
  await untilAll(loam, runs, 'cancelled');
  const endSeconds = (performance.now() - endedAt) / 1000;
  return [
    makeFigure('runs started until they wait for a person', [count / startSeconds], { unit: '1/s' }),
    makeFigure('worker memory before', [before], { unit: 'MiB' }),
    makeFigure(`worker memory while ${count} wait`, [waiting], { unit: 'MiB' }),
    makeFigure('waiting runs cancelled until they have ended', [count / endSeconds], { unit: '1/s' }),
  ];
}

async function untilAll(loam: Loam, runs: readonly string[], wanted: string): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  const open = new Set(runs);
  for (;;) {
    for (const id of [...open]) {
      const { status } = z.object({ status: z.string() }).parse((await loam.api('GET', `/v1/runs/${id}`)).body);
      if (status !== wanted) break; // they begin and end about in order: no need to ask for those behind it
      open.delete(id);
    }
    if (open.size === 0) return;
    if (performance.now() > deadline) throw new Error(`${open.size} of ${runs.length} runs are not ${wanted}`);
    await delay(250);
  }
}
