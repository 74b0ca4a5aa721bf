import { describe, expect, it } from 'vitest';
import { runJob, withScripts } from '../support/jobs.ts';
import { findSandboxTools, makeProcessSubject } from '../support/sandbox-tools.ts';
import { testExecutor } from './contracts/executor.ts';
import { testExecutorRules } from './contracts/executor-rules.ts';
import { testEgress, testIsolation } from './contracts/executor-isolation.ts';

const tools = await findSandboxTools();
const makeSandboxed = () => makeProcessSubject(tools);

testExecutor('a sandbox', makeSandboxed);
testIsolation('a sandbox', makeSandboxed);
if (tools.slirp4netnsPath !== undefined) testEgress('a sandbox', makeSandboxed, '10.0.2.3');
const makeGrouped = () => makeProcessSubject({ bwrapPath: undefined, slirp4netnsPath: undefined });
testExecutor('a process group', makeGrouped);
testExecutorRules('a sandbox', () => withScripts(makeSandboxed()));
testExecutorRules('a process group', () => withScripts(makeGrouped()));

describe('a host that cannot isolate', () => {
  it('says so, and runs only applications that were added on it, when there is no bubblewrap', async () => {
    const subject = await makeProcessSubject({ bwrapPath: undefined, slirp4netnsPath: tools.slirp4netnsPath });
    try {
      const executor = await subject.open();

      expect(executor.limits).toEqual([expect.stringContaining('not isolated')]);
      await expect(runJob(executor, 'true', { local: false })).rejects.toMatchObject({ code: 'executor-unavailable' });
      expect((await runJob(executor, 'pwd; exit 4')).end).toEqual({ type: 'exited', exitCode: 4 });
    } finally {
      await subject.close();
    }
  });

  it('says why, when bubblewrap does not start', async () => {
    const subject = await makeProcessSubject({ bwrapPath: '/bin/false', slirp4netnsPath: undefined });
    try {
      const executor = await subject.open();

      expect(executor.limits).toEqual([expect.stringMatching(/^not isolated.*bubblewrap does not start here/)]);
    } finally {
      await subject.close();
    }
  });

  it.each([undefined, '/bin/false'])(
    'gives egress the network of the host only to local applications, with slirp4netns %s',
    async (slirp4netnsPath) => {
      const subject = await makeProcessSubject({ bwrapPath: tools.bwrapPath, slirp4netnsPath });
      try {
        const executor = await subject.open();

        expect(executor.limits).toContainEqual(expect.stringContaining("egress uses the host's network"));
        await expect(runJob(executor, 'true', { network: 'egress', local: false })).rejects.toMatchObject({
          code: 'executor-unavailable',
        });
        expect((await runJob(executor, 'exit 5', { network: 'egress', local: true })).end).toEqual({
          type: 'exited',
          exitCode: 5,
        });
        expect((await runJob(executor, 'exit 6', { network: 'none', local: false })).end).toEqual({
          type: 'exited',
          exitCode: 6,
        });
      } finally {
        await subject.close();
      }
    },
  );
});
