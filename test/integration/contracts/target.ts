import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DomainError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/ports/secret.ts';
import type { ReleaseReference, ReleaseSpec, Target } from '../../../src/ports/target.ts';
import {
  ask,
  askJson,
  makeReference,
  makeSpec,
  makeWorkshop,
  startLoad,
  staging,
  takeFrontPort,
  thingy,
} from './target-builders.ts';
import type { SpecOver, Workshop } from './target-builders.ts';

export interface TargetSubject {
  readonly target: Target;
  /** What releases are made of: an archive or an image with the workshop's application. */
  readonly artifact: string;
  /** How long to wait for what will not get healthy: it must have begun to run by then. */
  readonly sickMs: number;
  /** Another target on the same state, as a second process has it. */
  reopen(): Target;
  /** Ends everything that the target started and checks that nothing is left. */
  close(): Promise<void>;
}

const noAbort = new AbortController().signal;
const patient = { timeoutMs: 20_000, signal: noAbort };

/** The contract of the port Target: releases are switched without a failed request, and what is unhealthy never serves (I6). */
export function testTarget(name: string, openSubject: (workshop: Workshop) => Promise<TargetSubject>): void {
  describe(`the target ${name}`, () => {
    let workshop: Workshop;
    let subject: TargetSubject;
    let target: Target;
    let port: number;

    beforeAll(() => {
      workshop = makeWorkshop();
    });
    beforeEach(async () => {
      subject = await openSubject(workshop);
      target = subject.target;
      port = await takeFrontPort();
    });
    afterEach(() => subject.close());
    afterAll(() => workshop.remove());

    function spec(over: SpecOver = {}): ReleaseSpec {
      return makeSpec(subject.artifact, port, over);
    }

    async function deploy(
      over: SpecOver = {},
    ): Promise<{ readonly reference: ReleaseReference; readonly url: string }> {
      const wanted = spec(over);
      await target.start(wanted, noAbort);
      expect(await target.awaitHealthy(wanted.reference, patient)).toEqual({ type: 'healthy' });
      const { url } = await target.switchTo(wanted.reference);
      return { reference: wanted.reference, url };
    }

    it('serves a first release at its stable URL', async () => {
      expect(await target.live(thingy, staging)).toBeUndefined();

      const { reference, url } = await deploy();

      expect(url).toBe(`http://127.0.0.1:${port}`);
      expect(await askJson(url)).toMatchObject({ release: '1' });
      expect(await target.live(thingy, staging)).toEqual(reference);
      expect(await target.list(thingy, staging)).toEqual([reference]);
    });

    it('gives a started release no request before the switch', async () => {
      const { url } = await deploy();
      const second = spec({ reference: { release: 2, fence: 2 } });

      await target.start(second, noAbort);
      await target.awaitHealthy(second.reference, patient);

      expect(await askJson(url)).toMatchObject({ release: '1' });
      expect(await target.live(thingy, staging)).toEqual(makeReference());
    });

    it('answers 503 while nothing is live', async () => {
      await target.start(spec(), noAbort);

      expect(await ask(`http://127.0.0.1:${port}`)).toMatchObject({ status: 503 });
    });

    it('switches to a second release and retires the first without a failed request', async () => {
      const first = await deploy();
      const stop = startLoad(first.url);

      await deploy({ reference: { release: 2, fence: 2 } });
      await target.retire(first.reference, 10_000);
      await expect.poll(async () => (await askJson(first.url))['release']).toBe('2');
      const load = await stop();

      expect(load.failures).toEqual([]);
      expect(load.releases).toEqual(['1', '2']);
      expect(load.requests).toBeGreaterThan(50);
      expect(await target.list(thingy, staging)).toEqual([makeReference({ release: 2, fence: 2 })]);
    });

    it.each([
      ['answers its health path with an error', 'sick', 'answered 500'],
      ['crashes at its start', 'crashes', 'exit code 3'],
      ['never answers', 'hangs', 'no answer'],
      ['never listens', 'deaf', 'nothing listens'],
    ])('says that a release which %s is unhealthy, while the old one serves on', async (_case, behaviour, reason) => {
      const { url } = await deploy();
      const stop = startLoad(url);
      const sick = spec({ reference: { release: 2, fence: 2 }, env: { BEHAVIOUR: behaviour } });

      await target.start(sick, noAbort);
      const health = await target.awaitHealthy(sick.reference, { timeoutMs: subject.sickMs, signal: noAbort });
      await target.retire(sick.reference, 1000);
      const load = await stop();

      expect(health).toMatchObject({ type: 'unhealthy' });
      expect(health.type === 'unhealthy' && health.reason).toContain(reason);
      expect(health.type === 'unhealthy' && health.output).toContain('release 2 starts');
      expect(load).toMatchObject({ failures: [], releases: ['1'] });
      expect(await target.list(thingy, staging)).toEqual([makeReference()]);
    });

    it('starts a release once, however often it is asked', async () => {
      const wanted = spec();

      await Promise.all([
        target.start(wanted, noAbort),
        target.start(wanted, noAbort),
        subject.reopen().start(wanted, noAbort),
      ]);
      await target.awaitHealthy(wanted.reference, patient);
      const { url } = await target.switchTo(wanted.reference);
      const first = await askJson(url);
      await target.start(wanted, noAbort);
      await target.switchTo(wanted.reference);

      const pids = await Promise.all(Array.from({ length: 8 }, async () => JSON.stringify(await askJson(url))));
      expect(new Set(pids)).toEqual(new Set([JSON.stringify(first)]));
    });

    it('refuses to retire what is live', async () => {
      const { reference, url } = await deploy();

      const error = await target.retire(reference, 100).catch((thrown: unknown) => thrown);

      expect(error).toBeInstanceOf(DomainError);
      expect(error).toMatchObject({ code: 'internal' });
      expect(await askJson(url)).toMatchObject({ release: '1' });
    });

    it('lets a slow request end before it retires the release', async () => {
      const first = await deploy();
      const slow = ask(`${first.url}/slow?ms=1500`);
      await deploy({ reference: { release: 2, fence: 2 } });

      await target.retire(first.reference, 20_000);

      await expect(slow).resolves.toMatchObject({ status: 200, body: '{"release":"1"}' });
    });

    it('does not wait longer than it shall for a request that does not end', async () => {
      const first = await deploy();
      const endless = ask(`${first.url}/events`).then(
        () => 'ended',
        () => 'cut',
      );
      await deploy({ reference: { release: 2, fence: 2 } });

      await target.retire(first.reference, 300);

      await expect(endless).resolves.toBe('cut');
      expect(await target.list(thingy, staging)).toEqual([makeReference({ release: 2, fence: 2 })]);
    });

    it('spreads requests over replicas', async () => {
      const { url } = await deploy({ replicas: 2 });

      const answers = await Promise.all(Array.from({ length: 10 }, async () => (await askJson(url))['replica']));

      expect(new Set(answers).size).toBe(2);
    });

    it('brings an application back that crashed', async () => {
      const { url } = await deploy();
      const before = await askJson(url);

      await ask(`${url}/crash`).catch(() => undefined);

      await expect.poll(async () => (await ask(url)).status, { timeout: 15_000 }).toBe(200);
      expect((await askJson(url))['release']).toBe(before['release']);
    });

    it('hides the crash of one replica behind the other', async () => {
      const { url } = await deploy({ replicas: 2 });
      await ask(`${url}/crash`).catch(() => undefined);
      const answers = await Promise.all(Array.from({ length: 20 }, () => ask(url)));

      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    });

    it('gives the application its config, its secrets and nothing else', async () => {
      const { url } = await deploy({
        env: { GREETING: 'hello "you"\n$HOME' },
        secrets: { DATABASE_PASSWORD: new Secret('s3cr3t-value') },
      });

      const environment = await askJson(`${url}/env`);

      expect(environment).toMatchObject({
        GREETING: 'hello "you"\n$HOME',
        DATABASE_PASSWORD: 's3cr3t-value',
        LOAM_RELEASE: '1',
        LOAM_ENVIRONMENT: 'staging',
      });
      const others = Object.keys(environment).filter(
        (name) =>
          !/^(PATH|HOME|HOSTNAME|PORT|PWD|SHLVL|LOAM_(RELEASE|ENVIRONMENT|REPLICA_ID)|GREETING|DATABASE_PASSWORD)$/.test(
            name,
          ),
      );
      expect(others).toEqual([]);
    });

    it('gives the application the token of its trust as a file', async () => {
      const { url } = await deploy({ trustToken: new Secret('trust-token-value') });

      expect(await askJson(`${url}/token`)).toEqual({ token: 'trust-token-value' });
      expect(JSON.stringify(await askJson(`${url}/env`))).not.toContain('trust-token-value');
    });

    it('keeps a data folder from release to release', async () => {
      const { url } = await deploy();
      await askJson(`${url}/kept`);

      await deploy({ reference: { release: 2, fence: 2 } });

      expect(await askJson(`${url}/kept`)).toEqual({ kept: '1' });
    });

    it('does not show secrets in what it says about an unhealthy release', async () => {
      const wanted = spec({
        start: 'echo "password is $DATABASE_PASSWORD"; exit 4',
        secrets: { DATABASE_PASSWORD: new Secret('s3cr3t-value') },
      });
      await target.start(wanted, noAbort);

      const health = await target.awaitHealthy(wanted.reference, patient);

      expect(JSON.stringify(health)).toContain('password is [redacted]');
      expect(JSON.stringify(health)).not.toContain('s3cr3t-value');
    });

    it('switches back to a release that still runs', async () => {
      const { reference, url } = await deploy();
      await deploy({ reference: { release: 2, fence: 2 } });

      await target.switchTo(reference);

      expect(await askJson(url)).toMatchObject({ release: '1' });
      await target.retire(makeReference({ release: 2, fence: 2 }), 1000);
    });

    it('leads through a unix socket to the same release', async () => {
      const { url } = await deploy();

      expect(await ask(url, { socketPath: target.socketPath(port) })).toMatchObject({ status: 200 });
    });

    it.each([
      ['no replicas', { replicas: 0 }],
      ['a health path without a slash', { health: 'health' }],
      ['a variable that cannot be', { env: { 'A=B': 'x' } }],
      ['a zero byte', { env: { A: 'x\0y' } }],
      ['an empty start command', { start: ' ' }],
    ])('refuses %s', async (_case, over) => {
      await expect(target.start(spec(over), noAbort)).rejects.toMatchObject({ code: 'deploy-refused' });
    });
  });
}
