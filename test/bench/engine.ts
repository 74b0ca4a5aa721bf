// npm run bench -- engine: what Loam's engine costs beside a workflow written by hand, in CPU, events and bytes.
import type { Loam } from '../support/loam.ts';
import { closeConnections } from './application.ts';
import { openArms } from './arms.ts';
import type { Arm } from './arms.ts';
import { makeFigure } from './figure.ts';
import type { Figure } from './figure.ts';
import { cpuOf, pidOf } from './observe.ts';
import { interleave, readOptions, withLoam } from './program.ts';
import { loadNow, makeReport, publishReport } from './report.ts';
import { shapes } from './shapes.ts';
import type { Shape } from './shapes.ts';

const usage = `npm run bench -- engine [--json FILE] [--rounds N]

  --rounds N   rounds of each case that count, at least 4; one more before them warms up (default 5)
  --json FILE  also write the report as JSON
`;
const together = [1, 5, 20];
/** The design asks this of the engine, so of the arm without rows and git; what the whole costs is told beside it. */
const cpuBudget = { limit: 1.15, from: 'ARCHITECTURE.md' };

interface Sample {
  readonly workerMs: number;
  readonly serverMs: number;
  readonly tasksPerSecond: number;
  readonly events: number;
  readonly bytes: number;
}

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions(usage, { rounds: { standard: 5, least: 4 } });
  if (options === undefined) return 2;
  const loadBefore = loadNow();
  await withLoam(async (loam) => {
    const arms = await openArms(loam);
    try {
      const figures: Figure[] = [];
      for (const shape of shapes)
        for (const count of together) figures.push(...(await measure(loam, arms, shape, count, options.rounds)));
      const report = makeReport(`npm run bench -- engine --rounds ${options.rounds}`, [], figures, loadBefore);
      await publishReport(report, options.json);
    } finally {
      await Promise.all(arms.map((arm) => arm.close()));
    }
  });
  closeConnections();
  return 0;
}

async function measure(
  loam: Loam,
  arms: readonly Arm[],
  shape: Shape,
  count: number,
  rounds: number,
): Promise<readonly Figure[]> {
  const title = `${shape.name}-${shape.tasks}, ${count} at once`;
  const samples = arms.map((arm) => ({ arm, taken: [] as Sample[] }));
  const server = pidOf(loam, 'temporal');
  await interleave(
    title,
    rounds,
    samples.map(
      ({ arm, taken }) =>
        async () =>
          void taken.push(await take(arm, shape, count, server)),
    ),
  );
  const counted = samples.map(({ arm, taken }) => ({ arm, taken: taken.slice(1) }));
  const hand = counted[0]?.taken ?? [];
  return counted.flatMap(({ arm, taken }) => figuresOf(`${title}: ${arm.name}`, arm, taken, hand));
}

async function take(arm: Arm, shape: Shape, count: number, server: number): Promise<Sample> {
  const [workerBefore, serverBefore] = [cpuOf(arm.workerPid), cpuOf(server)];
  const startedAt = performance.now();
  const [first = ''] = await arm.run(shape, count);
  const seconds = (performance.now() - startedAt) / 1000;
  const tasks = shape.tasks * count;
  const [workerAfter, serverAfter] = [cpuOf(arm.workerPid), cpuOf(server)];
  const { events, bytes } = await arm.measure(first);
  return {
    workerMs: (workerAfter - workerBefore) / tasks,
    serverMs: (serverAfter - serverBefore) / tasks,
    tasksPerSecond: tasks / seconds,
    events: events / shape.tasks,
    bytes: bytes / shape.tasks,
  };
}

function figuresOf(name: string, arm: Arm, taken: readonly Sample[], hand: readonly Sample[]): readonly Figure[] {
  const column = (key: keyof Sample): readonly number[] => taken.map((sample) => sample[key]);
  // Neighbours in time are compared: what disturbs the machine disturbs both.
  const ratios = taken.map(({ workerMs }, round) => workerMs / (hand[round]?.workerMs ?? Number.NaN));
  const budget = arm.name === 'Loam minimal' ? { budget: cpuBudget } : {};
  return [
    makeFigure(`${name}, worker CPU per task`, column('workerMs')),
    ...(arm.name === 'hand-written'
      ? []
      : [makeFigure(`${name}, worker CPU against hand-written`, ratios, { unit: 'times', ...budget })]),
    makeFigure(`${name}, server CPU per task`, column('serverMs')),
    makeFigure(`${name}, tasks`, column('tasksPerSecond'), { unit: '1/s' }),
    makeFigure(`${name}, history per task`, column('events'), { unit: 'events' }),
    makeFigure(`${name}, history per task`, column('bytes'), { unit: 'bytes' }),
  ];
}
