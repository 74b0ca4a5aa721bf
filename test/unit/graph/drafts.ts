import type { Draft, DraftTask } from '../../../src/core/graph/draft.ts';
import type { CompiledTask } from '../../../src/core/graph/graph.ts';
import { parseTaskName } from '../../../src/core/model/ids.ts';

interface JobOverrides {
  readonly dependsOn?: readonly string[];
}

export function makeJob(name: string, { dependsOn = [] }: JobOverrides = {}): DraftTask {
  const task: CompiledTask = {
    name: parseTaskName(name),
    needs: [],
    timeoutMs: 1000,
    maxAttempts: 1,
    retryDelayMs: 0,
    rerun: 'restart',
    type: 'repo_job',
    cmd: 'true',
    env: {},
    network: 'egress',
  };
  const pointer = `/workflow/${name}`;
  return {
    pointer,
    task,
    dependsOn: dependsOn.map((need) => ({ name: need, pointer: `${pointer}/depends_on` })),
    outputs: [],
  };
}

export function makeDraft(tasks: readonly DraftTask[], overrides: Partial<Draft> = {}): Draft {
  const broken = { applications: new Set<string>(), environments: new Set<string>(), tasks: new Set<string>() };
  return { onFailure: 'fail-fast', applications: [], environments: [], tasks, broken, ...overrides };
}
