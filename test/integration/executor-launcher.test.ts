import { readFileSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { Executor } from '../../src/ports/executor.ts';
import { followJob, makeJob, runJob } from '../support/jobs.ts';
import { findSandboxTools, makeProcessSubject } from '../support/sandbox-tools.ts';
import type { ProcessSubject } from '../support/sandbox-tools.ts';

let subject: ProcessSubject;
let executor: Executor;

beforeAll(async () => {
  subject = await makeProcessSubject(await findSandboxTools());
  executor = await subject.open();
});
afterAll(() => subject.close());

/** Children of this process that start jobs. */
function launchers(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return state !== 'Z' && Number(parent) === process.pid && command.includes('launcher-process');
      } catch {
        return false;
      }
    });
}

it('outlives the process that started it, and the next job gets another one (I2)', async () => {
  const job = makeJob('sleep 0.5; echo still here');
  await executor.start(job);
  const [launcher] = launchers();
  if (launcher === undefined) throw new Error('nobody starts jobs');
  process.kill(launcher, 'SIGKILL');
  await vi.waitFor(() => expect(launchers()).not.toContain(launcher), { timeout: 30_000, interval: 10 });

  const { end, text } = await followJob(executor, job.key);
  await executor.remove(job.key);
  const next = await runJob(executor, 'echo another');

  expect([end, text]).toEqual([{ type: 'exited', exitCode: 0 }, 'still here\n']);
  expect(next.text).toBe('another\n');
});

it('shows no secret and no setting of Loam in the process that starts jobs (I7)', async () => {
  await runJob(executor, 'true');
  const [launcher] = launchers();

  const environment = readFileSync(`/proc/${launcher ?? 0}/environ`, 'utf8');

  expect(environment.split('\0').map((line) => line.split('=')[0])).not.toContain('PATH');
  expect(environment).not.toContain('LOAM');
});
