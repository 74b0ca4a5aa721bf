import { makeDockerSubject } from '../support/docker-subject.ts';
import type { DockerSubject } from '../support/docker-subject.ts';
import { useEngine } from '../support/engine.ts';
import { withScripts } from '../support/jobs.ts';
import { testExecutor } from './contracts/executor.ts';
import { testEgress, testIsolation } from './contracts/executor-isolation.ts';
import { testExecutorRules } from './contracts/executor-rules.ts';

async function makeSubject(): Promise<DockerSubject> {
  return makeDockerSubject(await useEngine());
}

testExecutor('a container', makeSubject);
testExecutorRules('a container', () => withScripts(makeSubject()));
testIsolation('a container', makeSubject);
testEgress('a container', makeSubject, '127.0.0.11');
