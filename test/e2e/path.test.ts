// The whole path by `git push`, on a Loam of its own: real Temporal, real git, real processes.
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLoam, createWorkingCopy } from '../support/loam.ts';
import type { Loam, WorkingCopy } from '../support/loam.ts';
import {
  addApplication,
  curl,
  decide,
  readLog,
  readRun,
  statuses,
  urlOf,
  waitForEnd,
  waitForGate,
  waitForRun,
} from '../support/runs.ts';

let loam: Loam;

beforeAll(async () => {
  loam = await createLoam();
  await loam.start();
});

afterAll(async () => {
  await loam.destroy();
});

async function replace(copy: WorkingCopy, file: string, from: string, to: string): Promise<void> {
  const text = await readFile(path.join(copy.folder, file), 'utf8');
  if (!text.includes(from)) throw new Error(`${file} does not hold ${from}`);
  await writeFile(path.join(copy.folder, file), text.replace(from, to));
}

/** An application that serves without tests of its own: quick to push. */
const smallServer = `import http from 'node:http';
const server = http.createServer((request, response) => {
  response.end(JSON.stringify({ text: process.env.TEXT, release: process.env.LOAM_RELEASE }));
});
server.keepAliveTimeout = 500;
server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
`;

function smallPlan(workflow: string): string {
  return `version: 1
applications:
  small: {start: node server.mjs, health: /, config: {TEXT: hello}}
environments:
  staging: {compute: process}
  production: {compute: process}
workflow:
${workflow}`;
}

const buildAndTemplate = `  build: {type: build_image}
  template: {type: generate_template, application: small, image: {get_output: build.digest}}
`;

describe('the demo application', () => {
  let copy: WorkingCopy;

  beforeAll(async () => {
    const repositoryUrl = await addApplication(loam, 'thingy', { staging: {}, production: { protected: true } });
    copy = await createWorkingCopy(loam, repositoryUrl, 'thingy');
  });

  it('goes by a push to staging, waits for a person, and goes to production with the same artifact (I4, I5)', async () => {
    const push = await copy.push('Say hello');

    expect(push.code).toBe(0);
    expect(push.stderr).toContain('thingy/1');
    expect(push.stderr).toMatch(/approve/);
    const waiting = await waitForGate(loam, 'thingy/1');
    expect(waiting.commit).toBe(push.sha);
    expect(statuses(waiting)).toMatchObject({
      test: 'succeeded',
      build: 'succeeded',
      template: 'succeeded',
      staging: 'succeeded',
      smoke: 'succeeded',
      approve: 'paused',
      production: 'pending',
    });
    expect(waiting.gates[0]?.preview).toMatchObject({ toCommit: push.sha, fromRelease: null });
    const staging = await curl(await urlOf(loam, 'thingy', 'staging'));
    expect(staging).toMatchObject({ status: 200 });
    expect(staging.text).toContain('hello');

    expect((await decide(loam, 'thingy/1', 'approve', 'approved')).status).toBeLessThan(300);
    const ended = await waitForEnd(loam, 'thingy/1');
    expect(ended.status).toBe('succeeded');
    expect((await curl(await urlOf(loam, 'thingy', 'production'))).text).toContain('hello');
    const { releases } = (await loam.json(['releases', 'thingy'])) as {
      releases: { environment: string; image: string; status: string }[];
    };
    expect(new Set(releases.filter(({ status }) => status === 'live').map(({ image }) => image)).size).toBe(1);
    expect(
      releases
        .filter(({ status }) => status === 'live')
        .map(({ environment }) => environment)
        .sort(),
    ).toEqual(['production', 'staging']);
  });

  it('makes a second release of a second push', async () => {
    await replace(copy, 'loam.yaml', 'hello', 'good-evening');
    await copy.push('Say good evening');
    await waitForGate(loam, 'thingy/2');
    expect((await curl(await urlOf(loam, 'thingy', 'production'))).text).toContain('hello');

    await decide(loam, 'thingy/2', 'approve', 'approved');
    expect((await waitForEnd(loam, 'thingy/2')).status).toBe('succeeded');

    expect((await curl(await urlOf(loam, 'thingy', 'production'))).text).toContain('good-evening');
  });

  it('stops before the build when a unit test is red', async () => {
    await copy.write(
      'test/red.test.mjs',
      "import test from 'node:test';\ntest('is red', () => { throw new Error('red on purpose'); });\n",
    );
    await copy.push('Break a test');

    const ended = await waitForEnd(loam, 'thingy/3');

    expect(ended.status).toBe('failed');
    expect(statuses(ended)).toMatchObject({
      test: 'failed',
      build: 'skipped',
      staging: 'skipped',
      production: 'skipped',
    });
    expect(await readLog(loam, 'thingy/3', 'test')).toContain('red on purpose');
    expect((await curl(await urlOf(loam, 'thingy', 'staging'))).text).toContain('good-evening');
  });

  it('does not reach a protected production when the commit drops its approval (I4)', async () => {
    await writeFile(path.join(copy.folder, 'test/red.test.mjs'), '');
    await replace(
      copy,
      'loam.yaml',
      `  approve:
    type: approval # waits, for days if need be, until a person says yes: loam approve
    depends_on: smoke
    environment: production
`,
      '',
    );
    await replace(copy, 'loam.yaml', 'depends_on: approve', 'depends_on: smoke');
    await replace(copy, 'loam.yaml', 'good-evening', 'sneaky');
    await copy.push('Drop the approval');

    const ended = await waitForEnd(loam, 'thingy/4');

    expect(ended.status).toBe('failed');
    expect(ended.tasks.find(({ name }) => name === 'production')).toMatchObject({
      status: 'failed',
      code: 'approval-required',
    });
    expect((await curl(await urlOf(loam, 'thingy', 'production'))).text).toContain('good-evening');
  });
});

describe('a deploy', () => {
  it('that is unhealthy leaves the old version serving (I6)', async () => {
    const repositoryUrl = await addApplication(loam, 'sick', { staging: {} });
    const plan = smallPlan(
      `${buildAndTemplate}  staging: {type: deploy_stack, environment: staging, template: {get_output: template}, timeout: 20s}\n`,
    );
    const copy = await createWorkingCopy(loam, repositoryUrl, { 'server.mjs': smallServer, 'loam.yaml': plan });
    await copy.push('Serve');
    expect((await waitForEnd(loam, 'sick/1')).status).toBe('succeeded');

    await copy.write('server.mjs', "console.log('cannot start');\nprocess.exit(3);\n");
    await copy.push('Crash at start');
    const ended = await waitForEnd(loam, 'sick/2');

    expect(ended.tasks.find(({ name }) => name === 'staging')).toMatchObject({
      status: 'failed',
      code: 'deploy-unhealthy',
    });
    expect(ended.tasks.find(({ name }) => name === 'staging')?.reason).toContain('1');
    expect(await curl(await urlOf(loam, 'sick', 'staging'))).toMatchObject({
      status: 200,
      text: expect.stringContaining('"release":"1"') as string,
    });
    expect(await readLog(loam, 'sick/2', 'staging')).toContain('cannot start');
  });
});

describe('a gate', () => {
  let copy: WorkingCopy;

  beforeAll(async () => {
    const repositoryUrl = await addApplication(loam, 'gated', { production: { protected: true } });
    const plan =
      smallPlan(`${buildAndTemplate}  approve: {type: approval, environment: production, depends_on: template}
  production: {type: deploy_stack, environment: production, depends_on: approve, template: {get_output: template}}\n`);
    copy = await createWorkingCopy(loam, repositoryUrl, { 'server.mjs': smallServer, 'loam.yaml': plan });
  });

  it('that is rejected ends the run without a deploy', async () => {
    await copy.push('Ask');
    await waitForGate(loam, 'gated/1');

    expect((await loam.cli(['reject', 'gated/1', '--comment', 'not today'])).code).toBe(0);
    const ended = await waitForEnd(loam, 'gated/1');

    expect(ended.status).toBe('failed');
    expect(ended.tasks.find(({ name }) => name === 'approve')).toMatchObject({ status: 'failed', code: 'rejected' });
    expect(statuses(ended)['production']).toBe('skipped');
  });

  it('that nobody answers expires', async () => {
    await replace(copy, 'loam.yaml', 'type: approval,', 'type: approval, timeout: 2s,');
    await copy.push('Ask in a hurry');

    const ended = await waitForEnd(loam, 'gated/2');

    expect(ended.tasks.find(({ name }) => name === 'approve')).toMatchObject({
      status: 'failed',
      code: 'gate-expired',
    });
    expect((await decide(loam, 'gated/2', 'approve', 'approved')).status).toBe(409);
  });

  it('is decided by the role approver and not by a developer (I4)', async () => {
    await replace(copy, 'loam.yaml', 'timeout: 2s,', '');
    await copy.push('Ask again');
    await waitForGate(loam, 'gated/3');
    const token = async (role: string): Promise<string> =>
      ((await loam.json(['token', 'add', `the-${role}`, '--role', role])) as { token: string }).token;

    expect((await decide(loam, 'gated/3', 'approve', 'approved', await token('developer'))).status).toBe(403);
    expect((await decide(loam, 'gated/3', 'approve', 'approved', await token('approver'))).status).toBeLessThan(300);

    expect((await waitForEnd(loam, 'gated/3')).status).toBe('succeeded');
  });

  it("is told by Temporal's current details; the worker keeps no call stacks (ADR 0017)", async () => {
    const connection = await Connection.connect({ address: loam.endpoint().temporalAddress });
    const handle = new Client({ connection, namespace: 'loam' }).workflow.getHandle('run/gated/1');

    const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    const stacks = handle.query('__stack_trace');

    expect(currentDetails).toContain('**approve** failed: rejected by');
    await expect(stacks).rejects.toThrow(/stack traces are not enabled/);
    await connection.close();
  });
});

describe('a run', () => {
  it('that is cancelled ends its job and skips the rest', async () => {
    const repositoryUrl = await addApplication(loam, 'slow');
    const copy = await createWorkingCopy(loam, repositoryUrl, {
      'loam.yaml':
        'version: 1\nworkflow:\n  wait: {type: repo_job, cmd: "echo begun; sleep 600"}\n  after: {type: repo_job, depends_on: wait, cmd: "true"}\n',
    });
    const pushed = copy.push('Wait for ever');
    await waitForRun(loam, 'slow/1', 'the job runs', (run) => statuses(run)['wait'] === 'running');

    expect((await loam.cli(['cancel', 'slow/1'])).code).toBe(0);
    const ended = await waitForEnd(loam, 'slow/1');

    expect(ended.status).toBe('cancelled');
    expect(statuses(ended)).toEqual({ wait: 'cancelled', after: 'cancelled' });
    expect((await pushed).code).toBe(0);
  });

  it('is retried from what failed, and keeps the rest (I2)', async () => {
    const repositoryUrl = await addApplication(loam, 'flaky');
    const setSwitch = (value: string): Promise<unknown> =>
      loam.cli(['secret', 'put', 'flaky', 'switch'], { input: value });
    await setSwitch('bad');
    const copy = await createWorkingCopy(loam, repositoryUrl, {
      'loam.yaml':
        'version: 1\nworkflow:\n  first: {type: repo_job, cmd: "true"}\n  second: {type: repo_job, depends_on: first, cmd: "test \\"$SWITCH\\" = good", env: {SWITCH: {secret: switch}}}\n  third: {type: repo_job, depends_on: second, cmd: "true"}\n',
    });
    await copy.push('Depend on the weather');
    expect(statuses(await waitForEnd(loam, 'flaky/1'))).toEqual({
      first: 'succeeded',
      second: 'failed',
      third: 'skipped',
    });
    await setSwitch('good');

    expect((await loam.cli(['retry', 'flaky/1'])).code).toBe(0);
    const again = await waitForEnd(loam, 'flaky/1/2');

    expect(again.status).toBe('succeeded');
    expect(again.tasks.find(({ name }) => name === 'first')).toMatchObject({ kept: true, status: 'succeeded' });
    expect(again.tasks.find(({ name }) => name === 'second')).toMatchObject({ kept: false, attempt: 2 });
    expect((await readRun(loam, 'flaky/1/1')).status).toBe('failed');
  });

  it('of a bad plan fails with every problem and its place', async () => {
    const repositoryUrl = await addApplication(loam, 'wrong');
    const copy = await createWorkingCopy(loam, repositoryUrl, {
      'loam.yaml':
        'version: 1\nworkflow:\n  a: {type: repo_jib, cmd: x}\n  b: {type: repo_job, cmd: x, depends_on: c}\n',
    });
    await copy.push('Misspell');

    const ended = await waitForEnd(loam, 'wrong/1');

    expect(ended).toMatchObject({ status: 'failed', code: 'plan-invalid' });
    expect(ended.reason).toContain('3:');
  });
});

describe('a sandbox', () => {
  it('without network reaches neither Temporal nor API, and never sees database, key or token (I8)', async () => {
    const { apiUrl, temporalAddress } = loam.endpoint();
    const repositoryUrl = await addApplication(loam, 'spy');
    const probe = `import net from 'node:net'; import { readFileSync } from 'node:fs';
const tries = [${JSON.stringify(new URL(apiUrl).host)}, ${JSON.stringify(temporalAddress)}].map((address) => new Promise((resolve) => {
  const [host, port] = address.split(':');
  const socket = net.connect({ host, port: Number(port), timeout: 2000 }, () => { console.log('REACHED', address); resolve(false); });
  socket.on('error', () => resolve(true)).on('timeout', () => { socket.destroy(); resolve(true); });
}));
const hidden = ['loam.db', 'key', 'tokens/admin'].map((name) => { try { readFileSync(${JSON.stringify(loam.dataFolder)} + '/' + name); console.log('READ', name); return false; } catch { return true; } });
const clean = Object.keys(process.env).filter((name) => /TOKEN|SECRET|KEY/.test(name));
if (clean.length > 0) console.log('ENVIRONMENT', clean);
process.exit((await Promise.all(tries)).every(Boolean) && hidden.every(Boolean) && clean.length === 0 ? 0 : 1);
`;
    const copy = await createWorkingCopy(loam, repositoryUrl, {
      'probe.mjs': probe,
      'loam.yaml':
        'version: 1\nworkflow:\n  none: {type: repo_job, network: none, cmd: node probe.mjs}\n  egress: {type: repo_job, network: egress, cmd: node probe.mjs}\n',
    });
    await copy.push('Look around');

    const ended = await waitForEnd(loam, 'spy/1');

    expect(await readLog(loam, 'spy/1', 'none')).not.toMatch(/REACHED|READ|ENVIRONMENT/);
    expect(await readLog(loam, 'spy/1', 'egress')).not.toMatch(/READ|ENVIRONMENT/);
    // Where slirp4netns does not start, egress is the host's network: then the run must say so, and the probe may reach what it tries.
    const isHostNetwork = ended.warnings.some((warning) => warning.includes("egress uses the host's network"));
    expect(statuses(ended)).toEqual({ none: 'succeeded', egress: isHostNetwork ? 'failed' : 'succeeded' });
  });
});
