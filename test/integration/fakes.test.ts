// The fakes keep the rules of their ports, as the adapters do.
import { text } from 'node:stream/consumers';
import type { ReleaseReference } from '../../src/ports/target.ts';
import { FakeExecutor } from '../support/fake-executor.ts';
import type { FakeJob } from '../support/fake-executor.ts';
import { FakeTarget } from '../support/fake-target.ts';
import { FakeTrustProvider } from '../support/fake-trust-provider.ts';
import { testExecutorRules } from './contracts/executor-rules.ts';
import type { ExecutorRulesSubject, JobScript } from './contracts/executor-rules.ts';
import { testTargetRules } from './contracts/target-rules.ts';
import type { TargetSubject } from './contracts/target.ts';
import { testTrustProvider } from './contracts/trust-provider.ts';

testExecutorRules('the fake', () => Promise.resolve(openFakeExecutor()));
testTargetRules('fake', () => Promise.resolve(openFakeTarget()));
testTrustProvider('fake', {
  provider: new FakeTrustProvider(),
  valid: (token, lifetimeMs) => ({ settings: { token, lifetimeMs } }),
  failing: {
    'trust-revoked': () => ({ settings: { failure: 'trust-revoked' } }),
    'trust-expired': () => ({ settings: { failure: 'trust-expired' } }),
    'trust-failed': () => ({ settings: { failure: 'trust-failed' } }),
  },
  hanging: () => ({ settings: { hangs: true } }),
});

function openFakeExecutor(): ExecutorRulesSubject {
  const executor = new FakeExecutor();
  executor.onStart = (job) => void play(executor, job);
  return {
    open: () => Promise.resolve(executor),
    command: (script) => JSON.stringify(script),
    read: (path) => text(executor.openFile(path)),
    close: () => Promise.resolve(),
  };
}

async function play(executor: FakeExecutor, { spec, files }: FakeJob): Promise<void> {
  const { says, leaves, exitCode } = JSON.parse(spec.cmd) as JobScript;
  for (const said of says) {
    executor.write(spec.key, said);
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (leaves !== undefined) files.set(leaves.name, leaves.content);
  if (exitCode !== undefined) executor.end(spec.key, { type: 'exited', exitCode });
}

function openFakeTarget(): TargetSubject {
  const target = new FakeTarget();
  function behaviourOf({ release, fence }: ReleaseReference): string | undefined {
    const spec = target.specs.find(({ reference }) => reference.release === release && reference.fence === fence);
    return spec?.env['BEHAVIOUR'];
  }
  target.health = (reference) => {
    const behaviour = behaviourOf(reference);
    if (behaviour === 'hangs') return 'never';
    if (behaviour === undefined) return { type: 'healthy' };
    return { type: 'unhealthy', reason: 'it ended with exit code 3', output: 'cannot start: no database\n' };
  };
  return { target, artifact: '/artifact.tar', sickMs: 0, reopen: () => target, close: () => Promise.resolve() };
}
