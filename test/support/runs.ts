import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { createWorkingCopy, run, waitFor } from './loam.ts';
import type { Loam, WorkingCopy } from './loam.ts';

const Task = z.object({
  name: z.string(),
  type: z.string(),
  status: z.string(),
  attempt: z.number(),
  kept: z.boolean(),
  code: z.string().nullable(),
  reason: z.string().nullable(),
  attempts: z.array(
    z.object({
      attempt: z.number(),
      status: z.string(),
      exitCode: z.number().nullable(),
      outputs: z.record(z.string(), z.string()),
    }),
  ),
});
const Run = z.object({
  id: z.string(),
  status: z.string(),
  code: z.string().nullable(),
  reason: z.string().nullable(),
  commit: z.string(),
  finishedAt: z.string().nullable(),
  warnings: z.array(z.string()),
  tasks: z.array(Task),
  gates: z.array(
    z.object({ gate: z.string(), status: z.string(), opening: z.number(), preview: z.record(z.string(), z.unknown()) }),
  ),
});
export type Run = z.infer<typeof Run>;

const endings = ['succeeded', 'failed', 'cancelled', 'skipped'];

/** Who answers: a whole Loam, or one host of several. */
export type ApiCaller = Pick<Loam, 'api'>;

export async function readRun(loam: ApiCaller, id: string): Promise<Run> {
  const [application, number, round] = id.split('/');
  const { status, body } = await loam.api(
    'GET',
    `/v1/runs/${String(application)}/${String(number)}${round === undefined ? '' : `?round=${round}`}`,
  );
  if (status !== 200) throw new Error(`run ${id} is answered ${String(status)}: ${JSON.stringify(body)}`);
  return Run.parse(body);
}

export function statuses({ tasks }: Run): Readonly<Record<string, string>> {
  return Object.fromEntries(tasks.map((task) => [task.name, task.status]));
}

/** Waits for a state of a run; the error shows the run as it stood. */
export async function waitForRun(
  loam: ApiCaller,
  id: string,
  what: string,
  condition: (run: Run) => boolean,
  timeoutMs = 240_000,
): Promise<Run> {
  let last: Run | undefined;
  let problem: unknown;
  try {
    await waitFor(
      what,
      async () => {
        try {
          last = await readRun(loam, id);
        } catch (error) {
          problem = error; // the API may be starting again
          return false;
        }
        return condition(last);
      },
      timeoutMs,
    );
  } catch (error) {
    throw new Error(
      `${String(error)}; run ${id}: ${last === undefined ? String(problem) : `${last.status} ${last.reason ?? ''} ${JSON.stringify(last.tasks.map(({ name, status, reason }) => ({ name, status, reason })))}`}`,
      { cause: error },
    );
  }
  if (last === undefined) throw new Error('unreachable');
  return last;
}

export async function waitForEnd(loam: ApiCaller, id: string, timeoutMs = 240_000): Promise<Run> {
  return waitForRun(loam, id, 'the run has ended', ({ status }) => endings.includes(status), timeoutMs);
}

/** One after the other: a look at all of them at once would be load of its own. */
export async function waitForEnds(loam: Loam, ids: readonly string[], timeoutMs = 240_000): Promise<readonly Run[]> {
  const ended: Run[] = [];
  for (const id of ids) ended.push(await waitForEnd(loam, id, timeoutMs));
  return ended;
}

export async function waitForGate(loam: Loam, id: string, timeoutMs = 240_000): Promise<Run> {
  return waitForRun(
    loam,
    id,
    'the run waits for a person',
    ({ gates, status }) => gates.some((gate) => gate.status === 'open') && status === 'paused',
    timeoutMs,
  );
}

export async function decide(
  loam: Loam,
  id: string,
  gate: string,
  verdict: 'approved' | 'rejected',
  token?: string,
): Promise<{ readonly status: number; readonly body: unknown }> {
  return loam.api('POST', `/v1/runs/${id}/gates/${gate}/decisions`, { verdict, comment: 'by the test' }, token);
}

/** Starts a run of what was pushed last, by hand: no push waits for it. Returns its id. */
export async function trigger(loam: Loam, application: string): Promise<string> {
  const { status, body } = await loam.api('POST', `/v1/applications/${application}/runs`, {});
  if (status !== 202)
    throw new Error(`a run of ${application} was answered ${String(status)}: ${JSON.stringify(body)}`);
  return z.object({ run: z.string() }).parse(body).run;
}

/** An application whose repository tells nobody of a push: the test does. */
export async function addSilentApplication(
  loam: Loam,
  name: string,
  files: Readonly<Record<string, string>>,
  environments?: Parameters<typeof addApplication>[2],
): Promise<WorkingCopy> {
  const repositoryUrl = await addApplication(loam, name, environments);
  await silence(repositoryUrl);
  return createWorkingCopy(loam, repositoryUrl, files);
}

const Releases = z.object({
  releases: z.array(
    z.object({
      environment: z.string(),
      number: z.number(),
      status: z.string(),
      run: z.string(),
      commit: z.string(),
    }),
  ),
});

/** Newest first. */
export async function releasesOf(loam: Loam, application: string): Promise<z.infer<typeof Releases>['releases']> {
  return Releases.parse((await loam.api('GET', `/v1/applications/${application}/releases`)).body).releases;
}

export async function runsOf(loam: Loam, application: string): Promise<readonly { id: string; commit: string }[]> {
  const { body } = await loam.api('GET', `/v1/runs?application=${application}&limit=200`);
  return z.object({ runs: z.array(z.object({ id: z.string(), commit: z.string() })) }).parse(body).runs;
}

/** Its repository tells nobody of a push any more. */
export async function silence(repositoryUrl: string): Promise<void> {
  await run('git', ['config', 'core.hooksPath', '/dev/null'], { cwd: repositoryUrl });
}

/** Adds an application with a repository of its own and registers its environments. Returns the repository's path. */
export async function addApplication(
  loam: Loam,
  name: string,
  environments: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {},
): Promise<string> {
  const { status, body } = await loam.api('POST', '/v1/applications', { name });
  if (status !== 201 && status !== 200)
    throw new Error(`adding ${name} was answered ${String(status)}: ${JSON.stringify(body)}`);
  for (const [environment, settings] of Object.entries(environments)) {
    const answer = await loam.api('PUT', `/v1/applications/${name}/environments/${environment}`, {
      target: 'process',
      ...settings,
    });
    if (answer.status >= 300)
      throw new Error(
        `environment ${environment} was answered ${String(answer.status)}: ${JSON.stringify(answer.body)}`,
      );
  }
  return z.object({ repositoryUrl: z.string() }).parse(body).repositoryUrl;
}

export async function urlOf(loam: Loam, application: string, environment: string): Promise<string> {
  const { body } = await loam.api('GET', `/v1/applications/${application}/environments/${environment}`);
  return z.object({ url: z.string() }).parse(body).url;
}

export async function curl(url: string): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(url, { signal: AbortSignal.timeout(30_000) });
  return { status: response.status, text: await response.text() };
}

export async function readLog(loam: Loam, id: string, task: string): Promise<string> {
  return (await loam.cli(['logs', id, task])).stdout;
}

/** The log as it is stored at this moment, without a process for the call; empty while nobody answers. */
export async function peekLog(loam: Loam, id: string, task: string): Promise<string> {
  try {
    const token = (await readFile(path.join(loam.dataFolder, 'tokens/admin'), 'utf8')).trim();
    const response = await fetch(`${loam.endpoint().apiUrl}/v1/runs/${id}/tasks/${task}/log`, {
      headers: { authorization: `Bearer ${token}`, accept: 'text/plain' },
      signal: AbortSignal.timeout(30_000),
    });
    return response.ok ? await response.text() : '';
  } catch {
    return '';
  }
}
