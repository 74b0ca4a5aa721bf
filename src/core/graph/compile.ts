// Plan -> CompiledGraph. Pure, deterministic, O(tasks + edges) but for the pairs of deploys and approvals. Keeps I3, I4 and I5 as far as a graph can.
import type { TaskName } from '../model/ids.ts';
import type { PlanProblem } from '../plan/problem-kinds.ts';
import { problem } from '../plan/problem-kinds.ts';
import { Ancestry } from './ancestry.ts';
import { checkDeploys } from './deploys.ts';
import type { Draft } from './draft.ts';
import { findCovers } from './gates.ts';
import type { CompiledGraph, CompiledTask } from './graph.ts';
import { jsonPointer } from './json-pointer.ts';
import { findImages } from './images.ts';
import type { Images } from './images.ts';
import { findLocks } from './locks.ts';
import { sortByNeeds } from './order.ts';
import type { Cycle } from './order.ts';
import { checkReferences, findNeeds } from './references.ts';
import { makeScope } from './scope.ts';

export interface Compilation {
  /** Only to be used when no problem is an error. */
  readonly graph: CompiledGraph;
  readonly problems: readonly PlanProblem[];
}

function describeCycle(cycle: Cycle): PlanProblem {
  const shown = cycle.length > 12 ? [...cycle.slice(0, 6), '...', ...cycle.slice(-5)] : cycle;
  const message = `The tasks wait for each other: ${shown.join(' -> ')}`;
  const remedy = 'Remove one of these depends_on or get_output.';
  return problem('cycle', jsonPointer(['workflow', cycle[0]]), message, remedy);
}

function join(
  tasks: readonly CompiledTask[],
  readers: ReadonlyMap<TaskName, Iterable<TaskName>>,
  covers: ReadonlyMap<TaskName, Iterable<TaskName>>,
  images: Images['settings'],
): readonly CompiledTask[] {
  return tasks.map((task): CompiledTask => {
    if (task.type === 'deploy_stack') return { ...task, readers: [...(readers.get(task.name) ?? [])] };
    const image = images.get(task.name);
    if (task.type === 'build_image' && image !== undefined) return { ...task, image };
    if (task.type === 'generate_template' && image !== undefined) return { ...task, build: image };
    if (task.type === 'approval') return { ...task, covers: [...(covers.get(task.name) ?? [])] };
    return task;
  });
}

export function compileGraph(draft: Draft): Compilation {
  const tasks = new Map<string, Draft['tasks'][number]>(draft.tasks.map((one) => [one.task.name, one]));
  const positions = new Map<string, number>(draft.tasks.map(({ task }, index) => [task.name, index]));
  const withNeeds = draft.tasks.map((one): CompiledTask => ({ ...one.task, needs: findNeeds(one, positions) }));
  const problems = [...checkReferences(draft, tasks)];
  const { sorted: ordered, cycles } = sortByNeeds(withNeeds);
  problems.push(...cycles.map(describeCycle));
  if (cycles.length > 0) return { graph: { version: 1, onFailure: draft.onFailure, tasks: ordered }, problems };
  const scope = makeScope(draft, tasks, new Ancestry(ordered));
  const locks = findLocks(scope);
  const gates = findCovers(scope);
  const images = findImages(scope);
  problems.push(...locks.problems, ...gates.problems, ...images.problems, ...checkDeploys(scope));
  return {
    graph: {
      version: 1,
      onFailure: draft.onFailure,
      tasks: join(ordered, locks.readers, gates.covers, images.settings),
    },
    problems,
  };
}
