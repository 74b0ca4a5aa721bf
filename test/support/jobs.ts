import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { ExecutorSubject } from '../integration/contracts/executor.ts';
import type { ExecutorRulesSubject, JobScript } from '../integration/contracts/executor-rules.ts';
import { formatRunId, parseApplicationName, parseTaskName } from '../../src/core/model/ids.ts';
import type { Executor, JobEnd, JobKey, JobSpec } from '../../src/ports/executor.ts';

let lastNumber = 0;

/** A key that no job of this test run has had. */
export function makeJobKey(): JobKey {
  lastNumber += 1;
  const application = parseApplicationName('thingy');
  return { run: formatRunId({ application, number: lastNumber, round: 1 }), task: parseTaskName('test'), attempt: 1 };
}

export function makeJob(cmd: string, over: Partial<JobSpec> = {}): JobSpec {
  return {
    key: makeJobKey(),
    source: undefined,
    cmd,
    env: {},
    secrets: {},
    network: 'none',
    local: true,
    timeoutMs: 30_000,
    outputLimitBytes: 64 * 1024 * 1024,
    sockets: [],
    ...over,
  };
}

export interface Followed {
  readonly end: JobEnd;
  readonly text: string;
}

/** Attaches until the job has ended. */
export async function followJob(executor: Executor, key: JobKey, fromOffset = 0): Promise<Followed> {
  const parts: Uint8Array[] = [];
  const onOutput = ({ bytes }: { readonly bytes: Uint8Array }) => Promise.resolve(void parts.push(bytes));
  const end = await executor.attach(key, { fromOffset, signal: AbortSignal.timeout(40_000), onOutput });
  return { end, text: Buffer.concat(parts).toString() };
}

/** Starts a job and gives what it wrote and how it ended. */
export async function runJob(executor: Executor, cmd: string, over: Partial<JobSpec> = {}): Promise<Followed> {
  const job = makeJob(cmd, over);
  await executor.start(job);
  const followed = await followJob(executor, job.key);
  await executor.remove(job.key);
  return followed;
}

/** Attaches until the output holds `text`, and detaches. Answers the offset reached. */
export async function followUntil(executor: Executor, key: JobKey, text: string): Promise<number> {
  const controller = new AbortController();
  let seen = '';
  let offset = 0;
  const timer = setTimeout(() => controller.abort(new Error(`no "${text}" in "${seen}"`)), 20_000);
  const detached = new Error('detached');
  try {
    await executor.attach(key, {
      fromOffset: 0,
      signal: controller.signal,
      onOutput: (output) => {
        seen += Buffer.from(output.bytes).toString();
        offset = output.offset + output.bytes.length;
        if (seen.includes(text)) controller.abort(detached);
        return Promise.resolve();
      },
    });
  } catch (error) {
    if (error !== detached) throw error;
  } finally {
    clearTimeout(timer);
  }
  return offset;
}

/** Processes of this host that have something to do with a text: in their command line, their environment or their folder. */
export function processesAbout(text: string): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const about = ['cmdline', 'environ'].map((file) => read(`/proc/${pid}/${file}`));
      return [...about, link(`/proc/${pid}/cwd`)].some((each) => each.includes(text))
        ? [`${pid} ${about[0] ?? ''}`]
        : [];
    });
}

/** Command lines of all processes. */
export function commandLines(): string {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => read(`/proc/${pid}/cmdline`))
    .join('\n');
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** A subject whose jobs are played by a shell. */
export async function withScripts(subject: Promise<ExecutorSubject>): Promise<ExecutorRulesSubject> {
  return { ...(await subject), command: commandOf, read: (path) => readFile(path, 'utf8') };
}

function commandOf({ says, leaves, exitCode }: JobScript): string {
  return [
    ...says.map((text) => `printf %s '${text}'; sleep 0.01`),
    ...(leaves === undefined ? [] : [`printf %s '${leaves.content}' > "$LOAM_OUT/${leaves.name}"`]),
    exitCode === undefined ? 'while :; do sleep 0.05; done' : `exit ${exitCode}`,
  ].join('\n');
}
