// npm run bench -- deliveries: many deliveries while processes are killed at random. Every answer 2xx must become exactly one run, or its recorded reason.
import { setTimeout as delay } from 'node:timers/promises';
import type { Loam } from '../support/loam.ts';
import { kill } from '../support/victims.ts';
import type { Victim } from '../support/victims.ts';
import { closeConnections, createApplication } from './application.ts';
import { judge, readOutcomes } from './delivery-outcomes.ts';
import { makeDeliveries, send } from './delivery-traffic.ts';
import type { Answered, Told } from './delivery-traffic.ts';
import { makeFigure } from './figure.ts';
import { readOptions, say, withLoam } from './program.ts';
import { loadNow, makeReport, publishReport } from './report.ts';

const usage = `npm run bench -- deliveries [--json FILE] [--deliveries N] [--runs N]

  --deliveries N  how many are sent: real pushes, repeats of them, and pushes to branches that nobody builds (default 20000)
  --runs N        how many of them are real pushes, each of a plan with one task (default 2000)
  --json FILE     also write the report as JSON
`;
const plan = `version: 1
applications: {bench: {start: node server.mjs}}
workflow:
  only: {type: repo_job, network: none, cmd: 'true'}
`;
const senders = 16;
const victims: readonly Victim[] = ['api', 'relay', 'worker', 'temporal'];

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions(usage, {
    deliveries: { standard: 20_000, least: 1 },
    runs: { standard: 2_000, least: 1 },
  });
  if (options === undefined) return 2;
  if (options.deliveries < options.runs) {
    process.stderr.write(usage);
    return 2;
  }
  const loadBefore = loadNow();
  const problems: string[] = [];
  await withLoam(async (loam) => {
    const application = await createApplication(loam, 'many');
    await loam.api('PATCH', '/v1/applications/many', { branches: ['main'] });
    const commits = await application.commits(plan, options.runs);
    const killer = startKilling(loam);
    const startedAt = performance.now();
    const secondsSince = (): number => (performance.now() - startedAt) / 1000;
    const answered = await sendAll(loam, makeDeliveries(commits, options.deliveries));
    const sentSeconds = secondsSince();
    say(`all are answered after ${sentSeconds.toFixed(0)} s; waiting for the runs`);
    const outcomes = await readOutcomes(loam, answered);
    const kills = await killer.stop();
    const figures = [
      makeFigure('deliveries answered 2xx while processes die', [answered.length / sentSeconds], { unit: '1/s' }),
      makeFigure('runs, from the first delivery to the last end', [options.runs / secondsSince()], { unit: '1/s' }),
    ];
    const judged = judge(commits, outcomes);
    problems.push(...judged.problems);
    const command = `npm run bench -- deliveries --deliveries ${options.deliveries} --runs ${options.runs}`;
    const report = makeReport(command, [], figures, loadBefore);
    await publishReport(report, options.json);
    process.stdout.write(`\n${kills} times kill -9 of one of ${victims.join(', ')}; ${judged.counts}\n`);
    for (const problem of problems.slice(0, 20)) process.stdout.write(`WRONG: ${problem}\n`);
    process.stdout.write(
      problems.length === 0 ? '0 lost, 0 double, 0 wrong ends\n' : `${problems.length} things are wrong\n`,
    );
  });
  closeConnections();
  return problems.length === 0 ? 0 : 1;
}

async function sendAll(loam: Loam, waiting: Told[]): Promise<readonly Answered[]> {
  const count = waiting.length;
  const answered: Answered[] = [];
  const sender = async (): Promise<void> => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      answered.push(await send(loam, next));
      if (answered.length % 1_000 === 0) say(`${answered.length} of ${count} are answered`);
    }
  };
  await Promise.all(Array.from({ length: senders }, sender));
  return answered;
}

/** Kills one of the processes every few seconds. `stop` resolves with how often it did. */
function startKilling(loam: Loam): { stop(): Promise<number> } {
  const ending = new AbortController();
  const killing = (async (): Promise<number> => {
    for (let kills = 0; ;) {
      const victim = victims[Math.floor(Math.random() * victims.length)] ?? 'worker';
      try {
        await kill(loam, victim, '');
        kills += 1;
      } catch {
        // it is on its way up from the last time
      }
      const pause = delay(2_000 + Math.random() * 6_000, true, { signal: ending.signal });
      if (!(await pause.catch(() => false))) return kills;
    }
  })();
  return {
    stop() {
      ending.abort();
      return killing;
    },
  };
}
