// npm run bench -- jobs: what a job costs on each executor beside the bare thing, how fast its log is stored, and how long a killed worker is missed.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createDockerExecutor } from '../../src/adapters/executor/docker/docker-executor.ts';
import { startEngine } from '../support/engine-host.ts';
import type { Loam } from '../support/loam.ts';
import { closeConnections, createApplication } from './application.ts';
import { bootClock, measureFirstCommand, measureFirstLine } from './cases.ts';
import { dockerRun, timeProgram } from './docker-run.ts';
import type { BenchEngine } from './docker-run.ts';
import { makeFigure, quantile } from './figure.ts';
import type { Figure } from './figure.ts';
import { countingPlan, logCommand, logMiB, logPlan, measureLog, measureRecovery } from './job-cases.ts';
import { readOptions, say, takeTurns, withLoam } from './program.ts';
import { loadNow, makeReport, publishReport } from './report.ts';
import { openExecutorAlone, runNothing } from './spawn.ts';

const usage = `npm run bench -- jobs [--json FILE] [--rounds N]

  --rounds N   rounds of each case that count, at least 4; one more before them warms up (default 10)
  --json FILE  also write the report as JSON
`;
const from = 'ARCHITECTURE.md';
const logRounds = 5;
const recoveryRounds = 4;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions(usage, { rounds: { standard: 10, least: 4 } });
  if (options === undefined) return 2;
  const loadBefore = loadNow();
  say('starting an engine of its own');
  const { host, engine } = await startEngine();
  try {
    const figures = await measure({ socketPath: engine.socketPath, image: engine.images.busybox }, options.rounds);
    const report = makeReport(`npm run bench -- jobs --rounds ${options.rounds}`, [], figures, loadBefore);
    await publishReport(report, options.json);
  } finally {
    closeConnections();
    await host.stop();
  }
  return 0;
}

async function measure(engine: BenchEngine, rounds: number): Promise<readonly Figure[]> {
  const figures = [...(await measureNothing(engine, rounds))];
  const env = {
    LOAM_EXECUTOR: 'docker',
    LOAM_DOCKER_SOCKET: engine.socketPath,
    LOAM_DOCKER_IMAGE: engine.image,
  };
  await withLoam(async (processes) => {
    await withLoam(async (containers) => {
      figures.push(...(await measureStarts(containers, rounds)));
      figures.push(...(await measureLogs(processes, containers, engine)));
      figures.push(...(await measureRecoveries(processes, containers)));
    }, env);
  });
  return figures;
}

async function measureNothing(engine: BenchEngine, rounds: number): Promise<readonly Figure[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-bench-'));
  const alone = await openExecutorAlone();
  const docker = await createDockerExecutor({ ...engine, jobsFolder: folder, memoryBytes: 512 * 1024 ** 2, cpus: 1 });
  let number = 0;
  try {
    const taken = await takeTurns('jobs that do nothing', rounds, {
      spawned: () => timeProgram('sh', ['-c', 'true']),
      process: async () => (await alone.once()).jobMs,
      run: () => dockerRun(engine, 'true'),
      docker: async () => {
        const { jobMs, removeMs } = await runNothing(docker, (number += 1), 'none');
        return jobMs + removeMs;
      },
    });
    return [
      makeFigure('spawn of sh that does nothing', taken.spawned),
      makeFigure('job on executor process, shim and sandbox around nothing', taken.process),
      makeFigure('docker run --rm, hardened alike, of nothing', taken.run),
      makeFigure('job on executor docker with its removal', taken.docker),
      makeFigure('the same, against docker run', ratios(taken.docker, taken.run), {
        unit: 'times',
        budget: { limit: 1.1, from },
      }),
    ];
  } finally {
    await alone.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** As the bench of the path does for processes, and with the same budget of the first command. */
async function measureStarts(containers: Loam, rounds: number): Promise<readonly Figure[]> {
  const application = await createApplication(containers, 'first');
  const clock = bootClock();
  const taken = await takeTurns('first command, first line', rounds, {
    command: () => measureFirstCommand(containers, application, clock),
    line: () => measureFirstLine(containers, application, clock),
  });
  return [
    makeFigure('webhook to the first command, docker', taken.command, { budget: { limit: 150, from } }),
    makeFigure('webhook to the first line in a log tail, docker', taken.line, { budget: { limit: 800, from } }),
  ];
}

async function measureLogs(processes: Loam, containers: Loam, engine: BenchEngine): Promise<readonly Figure[]> {
  const grown: number[] = [];
  const [one, other] = await Promise.all([createApplication(processes, 'log'), createApplication(containers, 'log')]);
  const [[sha = ''], [otherSha = '']] = await Promise.all([one.commits(logPlan, 1), other.commits(logPlan, 1)]);
  const taken = await takeTurns(`logs of ${logMiB} MiB`, logRounds, {
    process: async () => {
      const { rate, grownMiB } = await measureLog(processes, one, sha);
      grown.push(grownMiB);
      return rate;
    },
    docker: async () => (await measureLog(containers, other, otherSha)).rate,
    live: async () => logMiB / ((await dockerRun(engine, logCommand)) / 1000),
  });
  const unit = 'MiB/s';
  const atLeast = true;
  return [
    makeFigure('log of a job to the store, process', taken.process, {
      unit,
      budget: { limit: 50 / 1.048_576, from, atLeast },
    }),
    makeFigure('worker memory that a log adds at its peak', grown.slice(1), { unit: 'MiB' }),
    makeFigure('log of a job to the store, docker', taken.docker, { unit }),
    makeFigure('live output of docker run', taken.live, { unit }),
    makeFigure('the ratio of the two', ratios(taken.docker, taken.live), {
      unit: 'times',
      budget: { limit: 0.9, from, atLeast },
    }),
  ];
}

async function measureRecoveries(processes: Loam, containers: Loam): Promise<readonly Figure[]> {
  const [one, other] = await Promise.all([
    createApplication(processes, 'counting'),
    createApplication(containers, 'counting'),
  ]);
  const [[sha = ''], [otherSha = '']] = await Promise.all([
    one.commits(countingPlan, 1),
    other.commits(countingPlan, 1),
  ]);
  const taken = await takeTurns('kill -9 of the worker in mid-job', recoveryRounds, {
    process: () => measureRecovery(processes, one, sha),
    docker: () => measureRecovery(containers, other, otherSha),
  });
  const budget = { limit: 15_000, from };
  return [
    makeFigure('kill -9 of the worker to the next line in the log, process', taken.process, { budget }),
    makeFigure('kill -9 of the worker to the next line in the log, docker', taken.docker, { budget }),
  ];
}

/** Neighbours in time are compared: what disturbs the machine disturbs both. */
function ratios(values: readonly number[], baselines: readonly number[]): readonly number[] {
  const whole = quantile(baselines, 0.5);
  return values.map((value, round) => value / (baselines[round] ?? whole));
}
