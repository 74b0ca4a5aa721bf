// Rollback and scale are runs of a plan that Loam makes itself: one deploy, with the lock, the fence and the protection of any other (I3, I4).
import { DomainError } from '../errors.ts';
import type { ApprovalTask, DeployStackTask, Redeploy } from '../graph/graph.ts';
import { parseTaskName } from '../model/ids.ts';
import type { Digest, EnvironmentName, TaskName } from '../model/ids.ts';
import type { CompiledPlan } from './plan.ts';

/** What is deployed again, as its release's row says. */
interface Former {
  readonly environment: EnvironmentName;
  /** The task that made the release. */
  readonly task: TaskName;
  readonly template: Digest;
}

const approve = parseTaskName('approve');
const deploy = parseTaskName('deploy');
const approvalTimeoutMs = 7 * 24 * 3_600_000;

/** From the plan that the release was made by: its environments say which trust the deploy needs, its task how long it may take. */
export function makeRedeployPlan(
  made: CompiledPlan,
  { environment, task, template }: Former,
  { redeploy, isProtected }: { readonly redeploy: Redeploy; readonly isProtected: boolean },
): CompiledPlan {
  const former = made.graph.tasks.find((one) => one.name === task);
  if (former?.type !== 'deploy_stack')
    throw new DomainError('internal', `release ${redeploy.release} was not made by the task ${task} of its plan`);
  const gate: ApprovalTask = {
    type: 'approval',
    name: approve,
    needs: [],
    timeoutMs: approvalTimeoutMs,
    maxAttempts: 1,
    retryDelayMs: 0,
    rerun: 'resume',
    environment,
    covers: [deploy],
  };
  const again: DeployStackTask = {
    ...former,
    name: deploy,
    needs: isProtected ? [approve] : [],
    template: { literal: template },
    readers: [],
    redeploy,
  };
  const tasks = isProtected ? [gate, again] : [again];
  return { ...made, graph: { version: 1, onFailure: 'fail-fast', tasks }, onBranches: undefined };
}
