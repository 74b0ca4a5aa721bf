// I4: a decision is bound to the digests of what will be deployed, so they must be there when the person is asked.
import type { TaskName } from '../model/ids.ts';
import type { PlanProblem } from '../plan/problem-kinds.ts';
import { problem } from '../plan/problem-kinds.ts';
import { jsonPointer } from './json-pointer.ts';
import { quote } from './nearest-name.ts';
import type { ApprovalTask } from './graph.ts';
import type { Deploy, Scope } from './scope.ts';

export interface Gates {
  /** By the approval's name; one that covers nothing is not in it. */
  readonly covers: ReadonlyMap<TaskName, readonly TaskName[]>;
  readonly problems: readonly PlanProblem[];
}

function checkBound(
  { ancestry }: Scope,
  approval: ApprovalTask,
  { task, template, pointer }: Deploy,
): readonly PlanProblem[] {
  if (template === undefined || ancestry.isBefore(template.name, approval.name)) return [];
  const message = `The approval ${quote(approval.name)} comes before the template ${quote(template.name)} of ${quote(task.name)}: nobody could see what is approved`;
  return [
    problem(
      'gate-unbound',
      `${pointer}/template/get_output`,
      message,
      `Add ${template.name} to the depends_on of ${approval.name}.`,
    ),
  ];
}

export function findCovers(scope: Scope): Gates {
  const covers = new Map<TaskName, readonly TaskName[]>();
  const problems: PlanProblem[] = [];
  for (const approval of scope.approvals) {
    const { name, environment } = approval;
    const covered = scope.deploys.filter(
      ({ task }) => task.environment === environment && scope.ancestry.isBefore(name, task.name),
    );
    problems.push(...covered.flatMap((deploy) => checkBound(scope, approval, deploy)));
    if (covered.length > 0) {
      const names = covered.map(({ task }) => task.name);
      covers.set(name, names);
    } else {
      const message = `No deploy to ${quote(environment)} comes after the approval ${quote(name)}`;
      const remedy = `Add ${name} to the depends_on of the deploy.`;
      problems.push(problem('gate-covers-nothing', jsonPointer(['workflow', name]), message, remedy));
    }
  }
  return { covers, problems };
}
