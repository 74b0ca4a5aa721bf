import { afterAll, beforeEach, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ReleaseReference, ReleaseSpec, Target } from '../../../src/ports/target.ts';
import {
  makeReference,
  makeSpec,
  makeWorkshop,
  production,
  staging,
  takeFrontPort,
  thingy,
} from './target-builders.ts';
import type { SpecOver, Workshop } from './target-builders.ts';
import type { TargetSubject } from './target.ts';

const noAbort = new AbortController().signal;
const patient = { timeoutMs: 20_000, signal: noAbort };

/** The part of the contract that needs no processes: every adapter of the port and its fake pass this. BEHAVIOUR says what the application does. */
export function testTargetRules(name: string, openSubject: (workshop: Workshop) => Promise<TargetSubject>): void {
  describe(`the target ${name}: rules`, () => {
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

    async function start(over: SpecOver = {}): Promise<ReleaseSpec> {
      const spec = makeSpec(subject.artifact, port, over);
      await target.start(spec, noAbort);
      return spec;
    }

    async function deploy(over: SpecOver = {}): Promise<ReleaseReference> {
      const { reference } = await start(over);
      expect(await target.awaitHealthy(reference, patient)).toEqual({ type: 'healthy' });
      await target.switchTo(reference);
      return reference;
    }

    it('serves nothing before the first switch, and then what it was switched to', async () => {
      expect([await target.live(thingy, staging), await target.list(thingy, staging)]).toEqual([undefined, []]);
      const { reference } = await start();
      await target.awaitHealthy(reference, patient);
      const before = await target.live(thingy, staging);

      const { url } = await target.switchTo(reference);

      expect(before).toBeUndefined();
      expect(url).toMatch(/^http:\/\//);
      expect(await target.live(thingy, staging)).toEqual(reference);
      expect(await subject.reopen().list(thingy, staging)).toEqual([reference]);
    });

    it('starts and switches once, however often it is asked', async () => {
      const spec = await start();
      await target.start(spec, noAbort);
      await subject.reopen().start(spec, noAbort);
      await target.awaitHealthy(spec.reference, patient);

      const urls = [await target.switchTo(spec.reference), await target.switchTo(spec.reference)];

      expect(urls[1]).toEqual(urls[0]);
      expect(await target.list(thingy, staging)).toEqual([spec.reference]);
    });

    it('switches over, back, and over again, and retires what does not serve', async () => {
      const first = await deploy();
      const second = await deploy({ reference: { release: 2, fence: 2 } });

      await target.switchTo(first);
      const back = await target.live(thingy, staging);
      await target.switchTo(second);
      await target.retire(first, 100);
      await target.retire(first, 100);

      expect(back).toEqual(first);
      expect(await target.live(thingy, staging)).toEqual(second);
      expect(await target.list(thingy, staging)).toEqual([second]);
    });

    it('tells the same release of two fences apart (I3)', async () => {
      const first = await deploy();
      const second = await deploy({ reference: { fence: 2 } });

      await target.retire(first, 100);

      expect(await target.list(thingy, staging)).toEqual([second]);
    });

    it('keeps environments apart', async () => {
      const there = await deploy();
      const frontPort = await takeFrontPort();
      const { reference } = await start({ frontPort, reference: { environment: production } });

      expect(await target.live(thingy, production)).toBeUndefined();
      expect(await target.list(thingy, production)).toEqual([reference]);
      expect(await target.list(thingy, staging)).toEqual([there]);
    });

    it('says why a release is not healthy and what it wrote, while the old one stays (I6)', async () => {
      const first = await deploy();
      const { reference } = await start({ reference: { release: 2, fence: 2 }, env: { BEHAVIOUR: 'crashes' } });

      const health = await target.awaitHealthy(reference, patient);
      await target.retire(reference, 100);

      expect(health).toMatchObject({ type: 'unhealthy', reason: expect.stringContaining('exit code 3') as string });
      expect(health.type === 'unhealthy' && health.output).toContain('cannot start: no database');
      expect(await target.live(thingy, staging)).toEqual(first);
      expect(await target.list(thingy, staging)).toEqual([first]);
    });

    it('ends the wait for health with the reason of the signal', async () => {
      const { reference } = await start({ env: { BEHAVIOUR: 'hangs' } });
      const controller = new AbortController();
      const options = { timeoutMs: 60_000, signal: controller.signal };
      const reason = new Error('cancelled');

      const waiting = target.awaitHealthy(reference, options);
      controller.abort(reason);

      await expect(waiting).rejects.toBe(reason);
      await expect(target.awaitHealthy(reference, options)).rejects.toBe(reason);
    });

    it('refuses to retire what is live', async () => {
      const reference = await deploy();

      await expect(target.retire(reference, 100)).rejects.toMatchObject({ code: 'internal' });

      expect(await target.live(thingy, staging)).toEqual(reference);
    });

    it('knows nothing of a release that was never started', async () => {
      const absent = makeReference({ release: 9, fence: 9 });

      await target.retire(absent, 100);

      await expect(target.awaitHealthy(absent, patient)).rejects.toMatchObject({ code: 'internal' });
      await expect(target.switchTo(absent)).rejects.toMatchObject({ code: 'internal' });
      expect(await target.live(thingy, staging)).toBeUndefined();
    });
  });
}
