import { makeDockerSubject } from '../support/docker-subject.ts';
import { withScripts } from '../support/jobs.ts';
import { testExecutor } from './contracts/executor.ts';
import { testEgress, testIsolation } from './contracts/executor-isolation.ts';
import { testExecutorRules } from './contracts/executor-rules.ts';

testExecutor('a container', makeDockerSubject);
testExecutorRules('a container', () => withScripts(makeDockerSubject()));
testIsolation('a container', makeDockerSubject);
testEgress('a container', makeDockerSubject, '127.0.0.11');
