// `loam rollback` and `loam scale` as a person uses them: runs like any other, on a Loam of its own.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLoam, createWorkingCopy, waitFor } from '../support/loam.ts';
import type { Loam } from '../support/loam.ts';
import {
  addApplication,
  curl,
  decide,
  readLog,
  readRun,
  releasesOf,
  statuses,
  urlOf,
  waitForEnd,
  waitForGate,
} from '../support/runs.ts';

const server = `import http from 'node:http';
import { randomUUID } from 'node:crypto';
const id = randomUUID();
http.createServer((request, response) => {
  response.end(JSON.stringify({ text: process.env.TEXT, release: process.env.LOAM_RELEASE, id }));
}).listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
`;

function plan(text: string): string {
  return `version: 1
applications:
  small: {start: node server.mjs, health: /, config: {TEXT: ${text}}}
environments:
  production: {compute: process}
workflow:
  build: {type: build_image}
  template: {type: generate_template, application: small, image: {get_output: build.digest}}
  production: {type: deploy_stack, environment: production, template: {get_output: template}}
`;
}

let loam: Loam;
let url: string;

beforeAll(async () => {
  loam = await createLoam();
  await loam.start();
  const repositoryUrl = await addApplication(loam, 'small', { production: {} });
  const copy = await createWorkingCopy(loam, repositoryUrl, { 'server.mjs': server, 'loam.yaml': plan('one') });
  await copy.push('One');
  await copy.write('loam.yaml', plan('two'));
  await copy.push('Two');
  expect((await readRun(loam, 'small/2')).status).toBe('succeeded');
  url = await urlOf(loam, 'small', 'production');
});

afterAll(async () => {
  await loam.destroy();
});

async function visit(): Promise<{ readonly text: string; readonly release: string; readonly id: string }> {
  return JSON.parse((await curl(url)).text) as Awaited<ReturnType<typeof visit>>;
}

it('goes back to the last release by a run of its own, which --wait shows', async () => {
  expect(await visit()).toMatchObject({ text: 'two', release: '2' });

  const back = await loam.cli(['rollback', 'small', 'production', '--wait']);

  expect(back).toMatchObject({ code: 0, stderr: '' });
  expect(statuses(await waitForEnd(loam, 'small/3'))).toEqual({ deploy: 'succeeded' });
  expect(await visit()).toMatchObject({ text: 'one', release: '3' });
  expect(await readLog(loam, 'small/3', 'deploy')).toContain('which is release 1 again');
  const [live, ...others] = await releasesOf(loam, 'small');
  expect(live).toMatchObject({ number: 3, status: 'live', run: 'small/3', commit: others.at(-1)?.commit });
});

it('waits for a person in a protected environment, and is retried after a rejection', async () => {
  await loam.cli(['env', 'put', 'small', 'production', '--protected']);

  const answer = (await loam.json(['rollback', 'small', 'production', '2'])) as { readonly run: string };
  const waiting = await waitForGate(loam, answer.run);
  await decide(loam, answer.run, 'approve', 'rejected');
  const rejected = await waitForEnd(loam, answer.run);
  const untouched = await visit();
  await loam.cli(['retry', answer.run]);
  await waitForGate(loam, `${answer.run}/2`);
  await decide(loam, answer.run, 'approve', 'approved');
  const approved = await waitForEnd(loam, `${answer.run}/2`);

  expect(waiting.gates[0]?.preview).toMatchObject({ fromRelease: 3, configChanged: ['TEXT'] });
  expect([rejected.status, approved.status]).toEqual(['failed', 'succeeded']);
  expect(untouched).toMatchObject({ text: 'one', release: '3' });
  expect(await visit()).toMatchObject({ text: 'two', release: '4' });
  await loam.cli(['env', 'put', 'small', 'production', '--no-protected']);
});

it('scales what is live, and refuses what makes no sense with exit codes of their own', async () => {
  const scaled = await loam.cli(['scale', 'small', 'production', '2', '--wait']);
  const seen = new Set<string>();
  await waitFor('two replicas answer', async () => {
    seen.add((await visit()).id);
    return seen.size === 2;
  });

  expect(scaled.code).toBe(0);
  expect(await visit()).toMatchObject({ text: 'two', release: '5' });
  const same = await loam.cli(['scale', 'small', 'production', '2']);
  const none = await loam.cli(['rollback', 'small', 'production', '99', '--json']);
  const live = await loam.cli(['rollback', 'small', 'production', '5']);
  const wrong = await loam.cli(['scale', 'small', 'production', 'many']);
  expect([same.code, none.code, live.code, wrong.code]).toEqual([1, 4, 1, 2]);
  expect(same.stderr).toContain('runs with 2 replicas in production already');
  expect(JSON.parse(none.stderr)).toMatchObject({ error: { code: 'release-unknown' } });
});
