import type { TaskName } from '../model/ids.ts';

export interface Node {
  readonly name: TaskName;
  readonly needs: readonly TaskName[];
}

export type Cycle = readonly [TaskName, ...TaskName[]];

export interface Order<N> {
  /** Every task after its needs, otherwise in the order given; tasks of a cycle are in it once, wherever they were found. */
  readonly sorted: readonly N[];
  /** Each as a path that ends where it begins: `a, b, a` when a needs b and b needs a. */
  readonly cycles: readonly Cycle[];
}

interface Visit<N> {
  readonly node: N;
  next: number;
}

/** Depth first, without recursion: a chain may be long. Needs that are not among the nodes are passed over. O(tasks + edges). */
export function sortByNeeds<N extends Node>(nodes: readonly N[]): Order<N> {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const done = new Set<TaskName>();
  const sorted: N[] = [];
  const cycles: Cycle[] = [];
  const path: Visit<N>[] = [];
  const onPath = new Map<TaskName, number>();

  function enter(node: N): void {
    onPath.set(node.name, path.length);
    path.push({ node, next: 0 });
  }

  function leave({ node }: Visit<N>): void {
    path.pop();
    onPath.delete(node.name);
    done.add(node.name);
    sorted.push(node);
  }

  function step(visit: Visit<N>): void {
    const name = visit.node.needs[visit.next++];
    if (name === undefined) {
      leave(visit);
      return;
    }
    const start = onPath.get(name);
    if (start !== undefined) {
      cycles.push([name, ...path.slice(start + 1).map((one) => one.node.name), name]);
      return;
    }
    const need = byName.get(name);
    if (need !== undefined && !done.has(name)) enter(need);
  }

  for (const node of nodes) {
    if (!done.has(node.name)) enter(node);
    for (let visit = path.at(-1); visit !== undefined; visit = path.at(-1)) step(visit);
  }
  return { sorted, cycles };
}
