import type { CompiledTask, Rerun } from '../../graph/graph.ts';
import { quote } from '../../graph/nearest-name.ts';
import type { TaskName } from '../../model/ids.ts';
import type { PlanReader } from './reader.ts';
import { toMs } from './values.ts';
import type { Duration, Retry, WrittenTask } from './values.ts';

/** What the plan's `defaults` say of the attempts of jobs and builds. */
export interface AttemptDefaults {
  readonly timeout: Duration | undefined;
  readonly retry: Retry | undefined;
}

export type Attempts = Pick<CompiledTask, 'timeoutMs' | 'maxAttempts' | 'retryDelayMs' | 'rerun'>;

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

const timeoutsMs = {
  repo_job: { usual: hourMs, most: 7 * dayMs },
  build_image: { usual: hourMs, most: 7 * dayMs },
  generate_template: { usual: 300_000, most: dayMs },
  deploy_stack: { usual: 900_000, most: dayMs },
  approval: { usual: 7 * dayMs, most: 90 * dayMs },
} as const;

const reruns: Readonly<Record<WrittenTask['type'], Rerun>> = {
  repo_job: 'restart',
  build_image: 'restart',
  generate_template: 'restart',
  deploy_stack: 'resume',
  approval: 'resume',
};

function describeMs(ms: number): string {
  return ms % dayMs === 0 ? `${String(ms / dayMs)}d` : `${String(ms / hourMs)}h`;
}

function readMs(reader: PlanReader, path: readonly string[], written: Duration, mostMs: number): number {
  const ms = toMs(written);
  if (ms > mostMs) {
    const limit = describeMs(mostMs);
    reader.report(
      'value-invalid',
      path,
      `${quote(path.slice(1).join('.'))} is longer than ${limit}`,
      `Write ${limit} or less.`,
    );
  }
  return ms;
}

function readRetry(
  reader: PlanReader,
  path: readonly string[],
  written: Retry | undefined,
): Pick<Attempts, 'maxAttempts' | 'retryDelayMs'> {
  if (written === undefined) return { maxAttempts: 1, retryDelayMs: 0 };
  if (typeof written === 'number') return { maxAttempts: written + 1, retryDelayMs: 0 };
  const { attempts, delay } = written;
  const retryDelayMs = delay === undefined ? 0 : readMs(reader, [...path, 'delay'], delay, hourMs);
  return { maxAttempts: attempts + 1, retryDelayMs };
}

function isJob({ type }: WrittenTask): boolean {
  return type === 'repo_job' || type === 'build_image';
}

/** How long an attempt of a task may take, how many there are, and what becomes of one whose worker died. */
export function readAttempts(
  reader: PlanReader,
  defaults: AttemptDefaults,
  name: TaskName,
  written: WrittenTask,
): Attempts {
  const path = ['workflow', name];
  const { usual, most } = timeoutsMs[written.type];
  const timeout = written.timeout ?? (isJob(written) ? defaults.timeout : undefined);
  const where = written.timeout === undefined ? ['defaults', 'timeout'] : [...path, 'timeout'];
  const own: { retry?: Retry | undefined; rerun?: Rerun | undefined } = written.type === 'approval' ? {} : written;
  const retry = own.retry ?? (isJob(written) ? defaults.retry : undefined);
  return {
    timeoutMs: timeout === undefined ? usual : readMs(reader, where, timeout, most),
    ...readRetry(reader, own.retry === undefined ? ['defaults', 'retry'] : [...path, 'retry'], retry),
    rerun: own.rerun ?? reruns[written.type],
  };
}
