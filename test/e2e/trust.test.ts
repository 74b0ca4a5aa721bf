// Trusts with short tokens, on a Loam of its own: kept as long as a run lasts, by a program that writes down each draw outside Loam.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLoam, createWorkingCopy, waitFor } from '../support/loam.ts';
import type { Loam, WorkingCopy } from '../support/loam.ts';
import { addApplication, curl, decide, urlOf, waitForEnd, waitForGate, waitForRun } from '../support/runs.ts';
import type { Run } from '../support/runs.ts';
import { createTokenProgram, readTrust, watchTrust } from '../support/token-program.ts';
import type { Draw, TokenProgram } from '../support/token-program.ts';
import { kill } from '../support/victims.ts';

let loam: Loam;

beforeAll(async () => {
  loam = await createLoam();
  await loam.start();
});

afterAll(async () => {
  await loam.destroy();
});

/** Answers which token it was given, without saying it. */
const server = `import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
const token = readFileSync(process.env.LOAM_TRUST_TOKEN_FILE, 'utf8');
const hash = createHash('sha256').update(token).digest('hex');
const server = http.createServer((request, response) => response.end(hash));
server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeAllConnections(); });
`;

/** Waits at a gate for as long as the test likes, then deploys. */
const plan = `version: 1
applications:
  kept: {start: node server.mjs}
environments:
  staging: {compute: process}
workflow:
  build: {type: build_image}
  template: {type: generate_template, image: {get_output: build.digest}}
  approve: {type: approval, environment: staging, depends_on: template}
  staging: {type: deploy_stack, environment: staging, depends_on: approve, template: {get_output: template}}
`;

interface Kept {
  readonly provider: TokenProgram;
  readonly copy: WorkingCopy;
}

/** An application whose environment needs a trust, with tokens that live so long. */
async function addKept(application: string, lifetimeMs: number): Promise<Kept> {
  const provider = await createTokenProgram(loam, application, lifetimeMs);
  const repositoryUrl = await addApplication(loam, application, { staging: { trust: provider.trust } });
  const files = { 'server.mjs': server, 'loam.yaml': plan.replace('kept', application) };
  return { provider, copy: await createWorkingCopy(loam, repositoryUrl, files) };
}

function finishedAtMs({ finishedAt }: Run): number {
  if (finishedAt === null) throw new Error('the run has not ended');
  return Date.parse(finishedAt);
}

/** A draw that was under way when the run ended may still be written down; a keeper that lives on would draw again and again. */
async function expectNoDrawAfter(provider: TokenProgram, endedAtMs: number): Promise<void> {
  const newest = (): number => Math.max(...provider.draws().map(({ expiresAtMs }) => expiresAtMs));
  await waitFor('the last token has expired', () => newest() < Date.now());
  expect(provider.draws().filter(({ atMs }) => atMs > endedAtMs + 2_000)).toEqual([]);
}

/** Each draw came before the token of the one before it had expired. */
function expectNoGap(draws: readonly Draw[]): void {
  for (const [index, { atMs }] of draws.slice(1).entries()) expect(atMs).toBeLessThan(draws[index]?.expiresAtMs ?? 0);
}

/** Which of the draws the deployed application was given. */
async function servedDraw(application: string, provider: TokenProgram): Promise<number> {
  const { text } = await curl(await urlOf(loam, application, 'staging'));
  return provider.draws().findIndex(({ hash }) => hash === text);
}

describe('a trust', () => {
  it('is kept over more than two lifetimes of its tokens, and the deploy at the end gets the newest one', async () => {
    const lifetimeMs = 8_000;
    const { provider, copy } = await addKept('kept', lifetimeMs);
    await copy.push('Wait for long');
    await waitForGate(loam, 'kept/1');
    const watch = watchTrust(loam, 'kept');
    const first = provider.draws()[0]?.atMs ?? 0;
    expect(first).toBeGreaterThan(0);
    await waitFor(
      'two lifetimes and four renewals are over',
      () => Date.now() > first + 2 * lifetimeMs && provider.draws().length >= 5,
    );

    const before = provider.draws().length;
    await decide(loam, 'kept/1', 'approve', 'approved');
    const ended = await waitForEnd(loam, 'kept/1');
    const lapses = watch.lapses();
    await watch.stop();

    expect(ended.status).toBe('succeeded');
    expect(lapses).toEqual([]);
    expect(new Set(watch.samples().map(({ generation }) => generation)).size).toBeGreaterThanOrEqual(4);
    expectNoGap(provider.draws());
    expect(await servedDraw('kept', provider)).toBeGreaterThanOrEqual(before - 1);
    await expectNoDrawAfter(provider, finishedAtMs(ended));
    // Keeper and deploy share the row's lease: no token was drawn twice.
    expect((await readTrust(loam, 'kept')).generation).toBe(provider.draws().length);
  });

  it('that is revoked parks the runs that need it, and both go on once a person has reconnected it', async () => {
    const { provider, copy } = await addKept('revoked', 8_000);
    await copy.push('Lose the trust');
    await waitForGate(loam, 'revoked/1');
    await copy.push('Lose it too');
    await waitForGate(loam, 'revoked/2');

    await provider.withdraw();
    await waitForRun(loam, 'revoked/1', 'the run warns', ({ warnings }) =>
      warnings.some((warning) => warning.includes('trust-revoked')),
    );
    for (const run of ['revoked/1', 'revoked/2']) await decide(loam, run, 'approve', 'approved');
    for (const run of ['revoked/1', 'revoked/2']) {
      const parked = await waitForRun(loam, run, 'the run is parked', ({ gates }) =>
        gates.some(({ gate, status }) => gate === 'reconnect/staging' && status === 'open'),
      );
      expect(parked.tasks.find(({ name }) => name === 'staging')?.reason).toContain('exit code 77');
    }
    expect(await readTrust(loam, 'revoked')).toMatchObject({ state: 'revoked' });

    await provider.restore();
    const answer = await loam.json(['trust', 'reconnect', 'revoked']);
    const [first, second] = [await waitForEnd(loam, 'revoked/1'), await waitForEnd(loam, 'revoked/2')];

    expect(answer).toMatchObject({ runs: expect.arrayContaining(['revoked/1', 'revoked/2']) as unknown });
    for (const { status, tasks } of [first, second]) {
      expect(status).toBe('succeeded');
      expect(tasks.find(({ name }) => name === 'build')?.attempts).toHaveLength(1);
    }
    expect(await servedDraw('revoked', provider)).toBeGreaterThanOrEqual(1);
  });

  it('with longer tokens never lapses when its keeper is killed', async () => {
    // The next keeper comes after the heartbeat timeout of 10 s; renewal is due at half the lifetime.
    const { provider, copy } = await addKept('killed', 40_000);
    await copy.push('Survive');
    await waitForGate(loam, 'killed/1');
    const watch = watchTrust(loam, 'killed');
    expect(provider.draws()).toHaveLength(1);

    await kill(loam, 'worker', '');
    await waitFor('the next keeper renews', () => provider.draws().length >= 2);
    await decide(loam, 'killed/1', 'approve', 'approved');
    const ended = await waitForEnd(loam, 'killed/1');
    const lapses = watch.lapses();
    await watch.stop();

    expect(ended.status).toBe('succeeded');
    expect(lapses).toEqual([]);
    expectNoGap(provider.draws());
    expect(await servedDraw('killed', provider)).toBeGreaterThanOrEqual(1);
  });

  it('of two runs lives on when one of them ends', async () => {
    const { provider, copy } = await addKept('shared', 8_000);
    await copy.push('First');
    await waitForGate(loam, 'shared/1');
    await copy.push('Second');
    await waitForGate(loam, 'shared/2');
    const watch = watchTrust(loam, 'shared');

    await decide(loam, 'shared/1', 'approve', 'rejected');
    await waitForEnd(loam, 'shared/1');
    const before = provider.draws().length;
    await waitFor('two renewals after the end of the first run', () => provider.draws().length >= before + 2);
    await decide(loam, 'shared/2', 'approve', 'rejected');
    const ended = await waitForEnd(loam, 'shared/2');
    const lapses = watch.lapses();
    await watch.stop();

    expect(lapses).toEqual([]);
    expectNoGap(provider.draws());
    await expectNoDrawAfter(provider, finishedAtMs(ended));
    // Both kept it and only one drew each time.
    expect((await readTrust(loam, 'shared')).generation).toBe(provider.draws().length);
  });
});
