// The graphs that the engine is measured on: the same for every arm.
import type { CompiledGraph } from '../../src/core/graph/graph.ts';
import { makeGraph, makeTemplate } from '../support/graphs.ts';

export interface Shape {
  readonly name: 'chain' | 'fan' | 'diamond';
  readonly tasks: number;
  readonly graph: CompiledGraph;
  /** The same as a plan. */
  readonly plan: string;
}

type Needs = (index: number) => readonly number[];

function makeShape(name: Shape['name'], tasks: number, needs: Needs): Shape {
  const all = Array.from({ length: tasks }, (_, index) => ({
    name: `task${index + 1}`,
    needs: needs(index + 1).map((need) => `task${need}`),
  }));
  const lines = all.map(
    (task) => `  ${task.name}: {type: generate_template, application: bench, depends_on: [${task.needs.join(', ')}]}`,
  );
  return {
    ...{ name, tasks },
    graph: makeGraph(all.map((task) => makeTemplate(task.name, task.needs))),
    plan: `version: 1\napplications: {bench: {start: node server.mjs}}\nworkflow:\n${lines.join('\n')}\n`,
  };
}

const diamondTasks = 20;

/** Tasks without a sandbox: what is measured is the engine, not the job. */
export const shapes: readonly Shape[] = [
  makeShape('chain', 50, (index) => (index === 1 ? [] : [index - 1])),
  makeShape('fan', 200, () => []),
  makeShape('diamond', diamondTasks, (index) => {
    if (index === 1) return [];
    return index < diamondTasks ? [1] : Array.from({ length: diamondTasks - 2 }, (_, middle) => middle + 2);
  }),
];
