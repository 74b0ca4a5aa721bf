import { z } from 'zod';
import { waitUntil } from '../processes.ts';
import { demoApplication } from './demo.ts';
import type { DemoApi, DemoOptions } from './demo.ts';

const Run = z.object({ id: z.string(), number: z.number(), status: z.string(), reason: z.string().nullish() });
type Run = z.infer<typeof Run>;
const Runs = z.object({ runs: z.array(Run) });
const Gates = z.object({ gates: z.array(z.object({ gate: z.string(), status: z.string() })) });
const Environment = z.object({ url: z.string() });

const runDeadlineMs = 15 * 60_000;

export async function newestRun(api: DemoApi, application: string, signal: AbortSignal): Promise<Run> {
  let found: Run | undefined;
  const isThere = await waitUntil(async () => {
    signal.throwIfAborted();
    found = Runs.parse(await api.call('GET', `/v1/runs?application=${application}&limit=1`)).runs[0];
    return found !== undefined;
  }, 30_000);
  if (!isThere || found === undefined)
    throw new Error(`no run of ${application} began within 30 s; see "npx loam runs"`);
  return found;
}

/** The rest of `npm start -- --once`: approve, wait for production, visit it. Returns the exit code. */
export async function approveAndVisit({ api, say, signal, run }: DemoOptions & { readonly run: Run }): Promise<number> {
  const [application, number] = run.id.split('/');
  const route = `/v1/runs/${String(application)}/${String(number)}`;
  let now = run;
  const look = async (): Promise<Run> => {
    signal.throwIfAborted();
    now = Run.parse(await api.call('GET', route));
    return now;
  };
  await waitUntil(
    async () => ['paused', 'succeeded', 'failed', 'cancelled', 'skipped'].includes((await look()).status),
    runDeadlineMs,
    200,
  );
  if (now.status === 'paused') {
    const { gates } = Gates.parse(await api.call('GET', route));
    for (const { gate } of gates.filter(({ status }) => status === 'open')) {
      say(`demo: approving ${run.id} ${gate}`);
      await api.call('POST', `${route}/gates/${gate}/decisions`, {
        verdict: 'approved',
        comment: 'npm start -- --once',
      });
    }
    await waitUntil(
      async () => ['succeeded', 'failed', 'cancelled', 'skipped'].includes((await look()).status),
      runDeadlineMs,
      200,
    );
  }
  if (now.status !== 'succeeded') {
    say(`demo: run ${run.id} ended as ${now.status}${now.reason == null ? '' : `: ${now.reason}`}`);
    return 1;
  }
  const { url } = Environment.parse(
    await api.call('GET', `/v1/applications/${demoApplication}/environments/production`),
  );
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  say(`demo: run ${run.id} succeeded; GET ${url} answers ${String(response.status)} ${(await response.text()).trim()}`);
  return response.ok ? 0 : 1;
}
