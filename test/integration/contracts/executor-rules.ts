import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor, JobSpec } from '../../../src/ports/executor.ts';
import { followJob, followUntil, makeJob, makeJobKey } from '../../support/jobs.ts';

/** What a job does, in an order that every executor can play. */
export interface JobScript {
  readonly says: readonly string[];
  readonly leaves?: { readonly name: string; readonly content: string };
  /** Undefined: it runs until it is stopped. */
  readonly exitCode: number | undefined;
}

export interface ExecutorRulesSubject {
  /** Another worker on the same host. */
  open(): Promise<Executor>;
  /** The command that does this. */
  command(script: JobScript): string;
  read(path: string): Promise<string>;
  close(): Promise<void>;
}

const lines = Array.from({ length: 20 }, (_, index) => `line ${index + 1}\n`);

/** The part of the contract that needs no processes: every adapter of the port and its fake pass this. */
export function testExecutorRules(name: string, make: () => Promise<ExecutorRulesSubject>): void {
  describe(`${name}: rules`, () => {
    let subject: ExecutorRulesSubject;
    let executor: Executor;

    beforeAll(async () => {
      subject = await make();
      executor = await subject.open();
    });
    afterAll(() => subject.close());

    async function startJob(script: JobScript): Promise<JobSpec> {
      const job = makeJob(subject.command(script));
      expect(await executor.start(job)).toEqual({ created: true });
      return job;
    }

    it('gives the output and the end of a job, more than once, and leaves an ended job alone', async () => {
      const job = await startJob({ says: ['one\n', 'two\n'], exitCode: 3 });

      const [first, second] = [await followJob(executor, job.key), await followJob(executor, job.key)];
      const again = await executor.start(job);
      await executor.stop(job.key, 100);
      const third = await followJob(executor, job.key, 4);
      await executor.remove(job.key);

      expect(first).toEqual({ end: { type: 'exited', exitCode: 3 }, text: 'one\ntwo\n' });
      expect([second, again]).toEqual([first, { created: false }]);
      expect(third).toEqual({ end: first.end, text: 'two\n' });
    });

    it('makes one job of many starts at once', async () => {
      const job = makeJob(subject.command({ says: [], exitCode: undefined }));
      const workers = [executor, executor, await subject.open(), await subject.open()];

      const answers = await Promise.all(workers.map((worker) => worker.start(job)));

      expect(answers.filter(({ created }) => created)).toHaveLength(1);
      expect(await executor.list()).toEqual([job.key]);
      await executor.remove(job.key);
    });

    it('detaches on abort and goes on for another worker at its offset, without gap and without repeat (I2)', async () => {
      const job = await startJob({ says: lines, exitCode: 0 });
      const offset = await followUntil(executor, job.key, 'line 5\n');

      const { end, text } = await followJob(await subject.open(), job.key, offset);
      await executor.remove(job.key);

      expect([end, text]).toEqual([{ type: 'exited', exitCode: 0 }, lines.join('').slice(offset)]);
    });

    it('rejects with the reason of the signal while the job is silent, also when it came before', async () => {
      const job = await startJob({ says: [], exitCode: undefined });
      const controller = new AbortController();
      const onOutput = () => Promise.resolve();
      const options = { fromOffset: 0, signal: controller.signal, onOutput };
      const reason = new Error('no longer wanted');

      const following = executor.attach(job.key, options);
      controller.abort(reason);

      await expect(following).rejects.toBe(reason);
      await expect(executor.attach(job.key, options)).rejects.toBe(reason);
      await executor.remove(job.key);
    });

    it('gives up following when the follower fails, and the job goes on', async () => {
      const job = await startJob({ says: lines, exitCode: 0 });
      const failure = new Error('disk full');
      const onOutput = () => Promise.reject(failure);
      const signal = AbortSignal.timeout(20_000);

      await expect(executor.attach(job.key, { fromOffset: 0, signal, onOutput })).rejects.toBe(failure);

      expect(await followJob(executor, job.key)).toMatchObject({ text: lines.join('') });
      await executor.remove(job.key);
    });

    it('stops a job, twice, and tells those who follow it', async () => {
      const job = await startJob({ says: ['up\n'], exitCode: undefined });
      await followUntil(executor, job.key, 'up\n');
      const following = followJob(await subject.open(), job.key);

      await executor.stop(job.key, 1_000);
      await executor.stop(job.key, 1_000);

      expect(await following).toEqual({ end: { type: 'stopped' }, text: 'up\n' });
      await executor.remove(job.key);
    });

    it('collects files by name, and refuses paths', async () => {
      const job = await startJob({ says: [], leaves: { name: 'report', content: 'hello' }, exitCode: 0 });
      await followJob(executor, job.key);

      const report = await executor.collect(job.key, 'report');

      expect(await subject.read(report ?? '')).toBe('hello');
      expect(await executor.collect(job.key, 'absent')).toBeUndefined();
      for (const bad of ['', '.', '..', '../../pid', 'a\0b']) {
        await expect(async () => executor.collect(job.key, bad)).rejects.toMatchObject({ code: 'input-invalid' });
      }
      await executor.remove(job.key);
      expect(await executor.collect(job.key, 'report')).toBeUndefined();
    });

    it('removes a running job, twice, and begins a new one of its key', async () => {
      const job = await startJob({ says: ['up\n'], exitCode: undefined });
      await followUntil(executor, job.key, 'up\n');

      await executor.remove(job.key);
      await executor.remove(job.key);

      expect(await executor.list()).toEqual([]);
      await expect(followJob(executor, job.key)).rejects.toMatchObject({ code: 'not-found' });
      expect(await executor.start(job)).toEqual({ created: true });
      await executor.remove(job.key);
    });

    it('knows nothing of a job that was never started', async () => {
      const key = makeJobKey();

      await executor.stop(key, 100);
      await executor.remove(key);

      expect(await executor.collect(key, 'report')).toBeUndefined();
      await expect(followJob(executor, key)).rejects.toMatchObject({ code: 'not-found' });
    });
  });
}
