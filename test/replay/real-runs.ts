// The shapes of a run as the field has them: a whole Loam, real pushes, jobs, deploys, people, trusts.
import { createWorkingCopy } from '../support/loam.ts';
import type { Loam, WorkingCopy } from '../support/loam.ts';
import { addApplication, decide, trigger, waitForEnd, waitForGate, waitForRun } from '../support/runs.ts';
import { createTokenProgram } from '../support/token-program.ts';

/** Plays one and answers the ids of the workflows to keep, by the name of their case. */
export type RealRun = (loam: Loam) => Promise<Readonly<Record<string, string>>>;

const server = `import http from 'node:http';
const server = http.createServer((request, response) => response.end('fine'));
server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeAllConnections(); });
`;

function planOf(application: string, tasks: readonly string[]): string {
  const head = `version: 1\napplications: {${application}: {start: node server.mjs, health: /}}\n`;
  return `${head}environments: {staging: {compute: process}}\nworkflow:\n${tasks.map((task) => `  ${task}\n`).join('')}`;
}

const deploys = [
  'build: {type: build_image}',
  'template: {type: generate_template, image: {get_output: build.digest}}',
  'staging: {type: deploy_stack, environment: staging, template: {get_output: template}}',
];

async function pushed(
  loam: Loam,
  application: string,
  tasks: readonly string[],
  environment: Readonly<Record<string, unknown>> = {},
): Promise<WorkingCopy> {
  const repositoryUrl = await addApplication(loam, application, { staging: environment });
  const files = { 'server.mjs': server, 'loam.yaml': planOf(application, tasks) };
  return createWorkingCopy(loam, repositoryUrl, files);
}

/** The demo application with a trust, up to production. */
async function approved(loam: Loam): Promise<Record<string, string>> {
  const { trust } = await createTokenProgram(loam, 'thingy', 60_000);
  const url = await addApplication(loam, 'thingy', { staging: { trust }, production: { protected: true } });
  const copy = await createWorkingCopy(loam, url, 'thingy');
  await copy.push('Say hello');
  await waitForGate(loam, 'thingy/1');
  await decide(loam, 'thingy/1', 'approve', 'approved');
  await waitForEnd(loam, 'thingy/1');
  return { 'real-approved': 'run/thingy/1', 'real-lock': 'environment/thingy/staging' };
}

async function rejected(loam: Loam): Promise<Record<string, string>> {
  const copy = await pushed(loam, 'rejected', ['approve: {type: approval, environment: staging}']);
  await copy.push('Ask');
  await decide(loam, 'rejected/1', 'approve', 'rejected');
  await waitForEnd(loam, 'rejected/1');
  return { 'real-rejected': 'run/rejected/1' };
}

async function expired(loam: Loam): Promise<Record<string, string>> {
  const copy = await pushed(loam, 'expired', ['approve: {type: approval, environment: staging, timeout: 2s}']);
  await copy.push('Ask');
  await waitForEnd(loam, 'expired/1');
  return { 'real-expired': 'run/expired/1' };
}

async function cancelled(loam: Loam): Promise<Record<string, string>> {
  const copy = await pushed(loam, 'cancelled', ["slow: {type: repo_job, cmd: 'sleep 600'}"]);
  const push = copy.push('Wait');
  await waitForRun(loam, 'cancelled/1', 'the job runs', ({ tasks }) => tasks[0]?.status === 'running');
  await loam.json(['cancel', 'cancelled/1']);
  await push;
  return { 'real-cancelled': 'run/cancelled/1' };
}

/** Fails after its own attempts; the next round keeps what had succeeded. */
async function retried(loam: Loam): Promise<Record<string, string>> {
  const copy = await pushed(loam, 'retried', [
    "good: {type: repo_job, cmd: 'true'}",
    "bad: {type: repo_job, depends_on: good, cmd: 'false', retry: 2}",
    "after: {type: repo_job, depends_on: bad, cmd: 'true'}",
  ]);
  await copy.push('Fail');
  await waitForEnd(loam, 'retried/1');
  await loam.json(['retry', 'retried/1']);
  await waitForEnd(loam, 'retried/1/2');
  return { 'real-failed': 'run/retried/1', 'real-seeded': 'run/retried/1/2' };
}

/** The second run waits for the lock until the first one's reader has ended. */
async function locked(loam: Loam): Promise<Record<string, string>> {
  const reader = "smoke: {type: repo_job, cmd: 'sleep 3', env: {URL: {get_output: staging.url}}}";
  const copy = await pushed(loam, 'locked', [...deploys, reader]);
  const push = copy.push('Deploy');
  await waitForRun(loam, 'locked/1', 'it reads what it deployed', ({ tasks }) =>
    tasks.some(({ name, status }) => name === 'smoke' && status === 'running'),
  );
  const second = await trigger(loam, 'locked');
  await push;
  await waitForEnd(loam, second);
  return { 'real-lock-waited': `run/${second}` };
}

async function parked(loam: Loam): Promise<Record<string, string>> {
  const provider = await createTokenProgram(loam, 'parked', 8_000);
  const [build = '', template = ''] = deploys;
  const copy = await pushed(
    loam,
    'parked',
    [
      ...[build, template, 'approve: {type: approval, environment: staging, depends_on: template}'],
      'staging: {type: deploy_stack, environment: staging, depends_on: approve, template: {get_output: template}}',
    ],
    { trust: provider.trust },
  );
  await copy.push('Lose the trust');
  await waitForGate(loam, 'parked/1');
  await provider.withdraw();
  await waitForRun(loam, 'parked/1', 'the run warns', ({ warnings }) =>
    warnings.some((text) => text.includes('trust')),
  );
  await decide(loam, 'parked/1', 'approve', 'approved');
  await waitForRun(loam, 'parked/1', 'the run is parked', ({ gates }) =>
    gates.some(({ gate, status }) => gate === 'reconnect/staging' && status === 'open'),
  );
  await provider.restore();
  await loam.json(['trust', 'reconnect', 'parked']);
  await waitForEnd(loam, 'parked/1');
  return { 'real-parked': 'run/parked/1' };
}

export const realRuns: readonly RealRun[] = [approved, rejected, expired, cancelled, retried, locked, parked];
