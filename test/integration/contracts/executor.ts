import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Executor } from '../../../src/ports/executor.ts';
import { followJob, followUntil, makeJob, runJob } from '../../support/jobs.ts';

export interface ExecutorSubject {
  /** Another worker on the same host: shares nothing with the others but what outlives them. */
  open(): Promise<Executor>;
  /** A folder of the test. */
  readonly folder: string;
  /** What runs of this subject's jobs. */
  processes(): readonly string[];
  close(): Promise<void>;
}

/** Every adapter of the port passes this. */
export function testExecutor(name: string, make: () => Promise<ExecutorSubject>): void {
  describe(`${name}: jobs`, () => {
    let subject: ExecutorSubject;
    let executor: Executor;

    beforeAll(async () => {
      subject = await make();
      executor = await subject.open();
    });
    afterEach(async () => {
      await vi.waitFor(() => expect(subject.processes()).toEqual([]), { timeout: 30_000, interval: 20 });
      await expect(executor.list()).resolves.toEqual([]);
    });
    afterAll(() => subject.close());

    it.each([
      ['exit 0', 0],
      ['exit 7', 7],
      ['kill -9 $$', 137],
      ['no-such-program-here', 127],
      ['(', 2],
      ['false && echo never', 1],
      ['', 0],
    ])('answers the exit code of "%s"', async (cmd, exitCode) => {
      expect((await runJob(executor, cmd)).end).toEqual({ type: 'exited', exitCode });
    });

    it('gives both streams in the order they were written', async () => {
      const { text } = await runJob(executor, 'for i in $(seq 300); do echo out $i; echo err $i >&2; done');

      expect(text).toBe(Array.from({ length: 300 }, (_, i) => `out ${i + 1}\nerr ${i + 1}\n`).join(''));
    });

    it('takes what a script writes to /dev/stdout and /dev/stderr', async () => {
      const { text } = await runJob(
        executor,
        'echo 1; echo 2 > /dev/stderr; echo 3 > /dev/stdout; echo 4 | tee /dev/stderr',
      );

      expect(text).toBe('1\n2\n3\n4\n4\n');
    });

    it('gives every byte of a large output, in pieces, at the reader’s pace', async () => {
      const sizeBytes = 20 * 1024 * 1024;
      const job = makeJob(`yes 0123456789abcde | head -c ${sizeBytes}`);
      const hash = createHash('sha256');
      let [reached, isBusy] = [0, false];
      await executor.start(job);

      const end = await executor.attach(job.key, {
        fromOffset: 0,
        signal: AbortSignal.timeout(40_000),
        onOutput: async ({ offset, bytes }) => {
          expect([offset, isBusy, bytes.length <= 1024 * 1024]).toEqual([reached, false, true]);
          isBusy = true;
          await new Promise((resolve) => setImmediate(resolve));
          isBusy = false;
          reached += bytes.length;
          hash.update(bytes);
        },
      });
      await executor.remove(job.key);

      expect([end, reached]).toEqual([{ type: 'exited', exitCode: 0 }, sizeBytes]);
      expect(hash.digest('hex')).toBe(
        createHash('sha256')
          .update('0123456789abcde\n'.repeat(sizeBytes / 16))
          .digest('hex'),
      );
    });

    it('makes one job of many starts at once, and leaves an ended one alone', async () => {
      const job = makeJob('echo ran >> "$LOAM_OUT/ledger"');
      const workers = await Promise.all([subject.open(), subject.open()]);

      const answers = await Promise.all(
        [executor, executor, ...workers, ...workers].map((worker) => worker.start(job)),
      );
      await followJob(executor, job.key);
      const again = await executor.start(job);
      const ledger = readFileSync((await executor.collect(job.key, 'ledger')) ?? '', 'utf8');
      await executor.remove(job.key);

      expect(answers.filter(({ created }) => created)).toHaveLength(1);
      expect([again.created, ledger]).toEqual([false, 'ran\n']);
    });

    it('keeps the deadline while nobody is attached', async () => {
      const job = makeJob('echo begun; sleep 60', { timeoutMs: 300 });
      await executor.start(job);
      await vi.waitFor(() => expect(subject.processes()).toEqual([]), { timeout: 30_000, interval: 20 });

      const followed = await followJob(executor, job.key);
      await executor.remove(job.key);

      expect(followed).toEqual({ end: { type: 'timed-out' }, text: 'begun\n' });
    });

    it.each(['yes', "trap '' PIPE; while :; do echo more; done"])(
      'ends a job that writes too much: %s',
      async (cmd) => {
        const { end, text } = await runJob(executor, cmd, { outputLimitBytes: 64 * 1024 });

        expect(end).toEqual({ type: 'output-limit' });
        expect(text.length).toBeGreaterThanOrEqual(64 * 1024);
        expect(text.length).toBeLessThan(80 * 1024);
      },
    );

    it('stops the whole tree: also what made a session of its own, and what ignores TERM', async () => {
      const job = makeJob(
        "setsid sleep 61 & (setsid sh -c 'trap \"\" TERM; while :; do sleep 62; done' &) ; trap '' TERM; echo up; while :; do sleep 63; done",
      );
      await executor.start(job);
      await followUntil(executor, job.key, 'up\n');

      await executor.stop(job.key, 200);

      expect(subject.processes()).toEqual([]);
      expect((await followJob(executor, job.key)).end).toEqual({ type: 'stopped' });
      await executor.stop(job.key, 200);
      await executor.remove(job.key);
    });

    it('lets a job clean up when it is stopped, and begins no further command of it', async () => {
      const job = makeJob(
        `sh -c 'trap "echo child done; exit" TERM; echo up; while :; do sleep 0.02; done'; echo next command`,
      );
      await executor.start(job);
      await followUntil(executor, job.key, 'up\n');

      await executor.stop(job.key, 5000);
      const { text } = await followJob(executor, job.key);
      await executor.remove(job.key);

      expect(text).toContain('child done');
      expect(text).not.toContain('next command');
    });

    it('runs the trap of the script itself when it is stopped', async () => {
      const job = makeJob("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.02; done");
      await executor.start(job);
      await followUntil(executor, job.key, 'up\n');

      await executor.stop(job.key, 5000);
      const { end, text } = await followJob(executor, job.key);
      await executor.remove(job.key);

      expect([end, text.includes('bye')]).toEqual([{ type: 'stopped' }, true]);
    });

    it('ends what a job leaves in the background', async () => {
      const { end, text } = await runJob(executor, 'setsid sleep 64 & sleep 65 & (setsid sleep 66 &); echo over');

      expect([end, text]).toEqual([{ type: 'exited', exitCode: 0 }, 'over\n']);
    });

    it('unpacks the source into the working folder, which the job may write to', async () => {
      const tree = path.join(subject.folder, 'tree');
      mkdirSync(path.join(tree, 'bin'), { recursive: true });
      writeFileSync(
        path.join(tree, 'bin/run.sh'),
        'echo ran in $(basename "$PWD"); echo 1 > bin/new && cat bin/new\n',
        { mode: 0o755 },
      );
      const source = path.join(subject.folder, 'tree.tar');
      execFileSync('tar', ['-cf', source, '-C', tree, '.']);

      expect((await runJob(executor, 'sh ./bin/run.sh', { source })).text).toBe('ran in work\n1\n');
    });

    it('collects regular files by name, and nothing else', async () => {
      const job = makeJob(
        'echo hello > "$LOAM_OUT/report"; ln -s /etc/passwd "$LOAM_OUT/link"; mkdir "$LOAM_OUT/folder"',
      );
      await executor.start(job);
      await followJob(executor, job.key);

      const report = await executor.collect(job.key, 'report');
      const others = await Promise.all(['link', 'folder', 'absent'].map((file) => executor.collect(job.key, file)));
      await expect(async () => executor.collect(job.key, '../../pid')).rejects.toMatchObject({ code: 'input-invalid' });

      expect([readFileSync(report ?? '', 'utf8'), ...others]).toEqual(['hello\n', undefined, undefined, undefined]);
      await executor.remove(job.key);
      expect(await executor.collect(job.key, 'report')).toBeUndefined();
    });

    it('removes a running job with all of it, twice, also folders that it closed', async () => {
      const job = makeJob('mkdir -p a/b; echo > a/b/c; chmod 0500 a/b a; echo up; sleep 67');
      await executor.start(job);
      await followUntil(executor, job.key, 'up\n');
      expect(await executor.list()).toEqual([job.key]);

      await executor.remove(job.key);
      await executor.remove(job.key);

      expect(await executor.list()).toEqual([]);
      await expect(followJob(executor, job.key)).rejects.toMatchObject({ code: 'not-found' });
    });

    it('refuses what cannot be handed to a program, without telling the value', async () => {
      for (const env of [{ 'A-B': '' }, { A: 'top\0secret' }, { A: 'topsecret'.repeat(20_000) }]) {
        const refusal = await executor.start(makeJob('true', { env })).catch((error: unknown) => error);

        expect(refusal).toMatchObject({ code: expect.stringMatching(/^input-/) as string });
        expect(String(refusal)).not.toContain('top');
      }
    });
  });
}
