// npm run bench -- path: the path of a commit against the budgets of the design, on a Loam of its own.
import { z } from 'zod';
import type { Loam } from '../support/loam.ts';
import { closeConnections, createApplication } from './application.ts';
import {
  chainPlan,
  measureChain,
  measureDoorAtRate,
  measureDoorInTurn,
  measureFirstCommand,
  measureFirstLine,
  measureHandWritten,
  wallClock,
} from './cases.ts';
import type { ChainTimes } from './cases.ts';
import { isOver, makeFigure, quantile } from './figure.ts';
import type { Figure } from './figure.ts';
import { startHandWritten } from './hand-written.ts';
import { awaitEnd } from './observe.ts';
import { loadNow, makeReport, publishReport } from './report.ts';
import { interleave, readOptions, say, withLoam } from './program.ts';
import { openExecutorAlone } from './spawn.ts';
import type { SpawnTimes } from './spawn.ts';

const usage = `npm run bench -- path [--json FILE] [--rounds N]

  --rounds N   rounds of each case that count, at least 4; one more before them warms up (default 15)
  --json FILE  also write the report as JSON
`;
const Runs = z.object({ runs: z.array(z.object({ id: z.string() })) });
const Run = z.object({ warnings: z.array(z.string()) });

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions(usage, { rounds: { standard: 15, least: 4 } });
  if (options === undefined) return 2;
  const loadBefore = loadNow();
  await withLoam(async (loam) => {
    const figures = await measure(loam, options.rounds);
    const command = `npm run bench -- path --rounds ${options.rounds}`;
    const report = makeReport(command, await readExecutorLimits(loam), figures, loadBefore);
    await publishReport(report, options.json);
    const over = figures.filter(isOver).length;
    say(over === 0 ? 'all within their budgets' : `${over} over their budget`);
  });
  closeConnections();
  return 0;
}

/** A run says what its sandboxes could not do. */
async function readExecutorLimits(loam: Loam): Promise<readonly string[]> {
  const { runs } = Runs.parse((await loam.api('GET', '/v1/runs?limit=1')).body);
  return Run.parse((await loam.api('GET', `/v1/runs/${runs[0]?.id ?? ''}`)).body).warnings;
}

async function measure(loam: Loam, rounds: number): Promise<readonly Figure[]> {
  return [...(await measureStart(loam, rounds)), ...(await measureChains(loam, rounds)), ...(await measureDoor(loam))];
}

async function measureStart(loam: Loam, rounds: number): Promise<readonly Figure[]> {
  const application = await createApplication(loam, 'first');
  const commands: number[] = [];
  const lines: number[] = [];
  await interleave('first command, first line', rounds, [
    async () => void commands.push(await measureFirstCommand(loam, application, wallClock)),
    async () => void lines.push(await measureFirstLine(loam, application, wallClock)),
  ]);
  const command = { budget: { limit: 150, from: 'ARCHITECTURE.md' } };
  const line = { budget: { limit: 300, from: 'ARCHITECTURE.md' } };
  return [
    makeFigure('webhook to the first command', commands.slice(1), command),
    makeFigure('webhook to the first line in a log tail', lines.slice(1), line),
  ];
}

async function measureChains(loam: Loam, rounds: number): Promise<readonly Figure[]> {
  const application = await createApplication(loam, 'chain');
  const [sha = ''] = await application.commits(chainPlan(), 1);
  const [worker, alone] = await Promise.all([
    startHandWritten(loam.endpoint().temporalAddress, 'loam'),
    openExecutorAlone(),
  ]);
  const chains: ChainTimes[] = [];
  const written: ChainTimes[] = [];
  const spawns: SpawnTimes[] = [];
  try {
    await interleave('chain, hand-written chain, executor alone', rounds, [
      async () => void chains.push(await measureChain(loam, application, sha)),
      async () => void written.push(await measureHandWritten(worker)),
      async () => void spawns.push(await alone.once()),
    ]);
  } finally {
    await Promise.all([worker.close(), alone.close()]);
  }
  return chainFigures(chains.slice(1), written.slice(1), spawns.slice(1));
}

function chainFigures(
  chains: readonly ChainTimes[],
  written: readonly ChainTimes[],
  spawns: readonly SpawnTimes[],
): readonly Figure[] {
  const jobs = spawns.map(({ jobMs }) => jobMs);
  const hands = written.map(({ wholeMs }) => wholeMs);
  const hopMs = chains.map((one) => one.hopMs);
  const wholes = chains.map((one) => one.wholeMs);
  // Neighbours in time are compared: what disturbs the machine disturbs both.
  const ratios = wholes.map((value, index) => value / (hands[index] ?? Number.NaN));
  const limit = quantile(hands, 0.5) + 2 * quantile(jobs, 0.5);
  const hop = { budget: { limit: 40, from: 'ARCHITECTURE.md' } };
  return [
    makeFigure('job that does nothing in a chain of 20: hop', hopMs, hop),
    makeFigure('the same, against hand-written hop + 2 x job alone', hopMs, { budget: { limit, from: 'same run' } }),
    makeFigure('chain of 20, webhook to end, per job', wholes),
    makeFigure('hand-written chain of 20, start to result, per step', hands),
    makeFigure('ratio of the two', ratios, { unit: 'times' }),
    makeFigure('job alone on the executor: start to end', jobs),
    makeFigure(
      'job alone on the executor: removal',
      spawns.map(({ removeMs }) => removeMs),
    ),
    ...cpuFigures(chains, written),
  ];
}

function cpuFigures(chains: readonly ChainTimes[], written: readonly ChainTimes[]): readonly Figure[] {
  const [loam, hand] = [chains, written].map((rounds) => rounds.map(({ cpuMs }) => cpuMs));
  return [
    makeFigure('worker CPU per job in the chain', loam ?? []),
    makeFigure('worker CPU per step, hand-written without sandbox', hand ?? []),
  ];
}

/** Last: what is told fast leaves a backlog behind, which is over before the next door is measured. */
async function measureDoor(loam: Loam): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const door of ['relay', 'api'] as const) {
    const application = await createApplication(loam, `door-${door}`);
    const measures = [
      { how: 'one after another', take: () => measureDoorInTurn(application, door, 200) },
      { how: '20 a second', take: () => measureDoorAtRate(application, door, { perSecond: 20, seconds: 10 }) },
      {
        how: '200 a second',
        take: () => measureDoorAtRate(application, door, { perSecond: 200, seconds: 5 }),
        budget: { limit: 50, from: 'p99, ARCHITECTURE.md' },
      },
    ];
    const warmUp = await measureDoorInTurn(application, door, 20);
    let told = warmUp.length;
    for (const { how, take, budget } of measures) {
      const name = `webhook answer of ${door}, ${how}`;
      say(name);
      const times = await take();
      told += times.length;
      figures.push(makeFigure(name, times, { withP99: true, ...(budget !== undefined && { budget }) }));
    }
    await awaitEnd(loam, `${application.name}/${told}`, 'skipped', 600_000);
  }
  return figures;
}
