import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Ancestry } from '../../../src/core/graph/ancestry.ts';
import { compileGraph } from '../../../src/core/graph/compile.ts';
import type { DraftTask } from '../../../src/core/graph/draft.ts';
import { sortByNeeds } from '../../../src/core/graph/order.ts';
import { makeDraft, makeJob } from './drafts.ts';

/** Needs of task i among all others; `isAcyclic` keeps only those that point backwards in a hidden order. */
function edges(isAcyclic: boolean) {
  return fc
    .record({
      count: fc.integer({ min: 1, max: 40 }),
      pairs: fc.array(fc.tuple(fc.nat(39), fc.nat(39)), { maxLength: 200 }),
      order: fc.infiniteStream(fc.nat()),
    })
    .map(({ count, pairs, order }): readonly DraftTask[] => {
      const hidden = [...order.take(count)]
        .map((key, index) => ({ key, index }))
        .sort((one, other) => one.key - other.key || one.index - other.index);
      const rank = new Map(hidden.map(({ index }, position) => [index, position]));
      const needs = new Map<number, string[]>();
      for (const [from, to] of pairs) {
        if (from >= count || to >= count || from === to) continue;
        if (isAcyclic && Number(rank.get(from)) < Number(rank.get(to))) continue;
        needs.set(from, [...(needs.get(from) ?? []), `t${to}`]);
      }
      return Array.from({ length: count }, (_, index) => makeJob(`t${index}`, { dependsOn: needs.get(index) ?? [] }));
    });
}

function reachable(tasks: readonly DraftTask[], from: string): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [from];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    for (const { name: need } of tasks.find(({ task }) => task.name === name)?.dependsOn ?? []) {
      if (!found.has(need)) open.push(need);
      found.add(need);
    }
  }
  return found;
}

describe('compileGraph, whatever the graph', () => {
  it('puts every task after its needs, keeps them all, and is deterministic', () => {
    fc.assert(
      fc.property(edges(true), (tasks) => {
        const { graph, problems } = compileGraph(makeDraft(tasks));

        expect(problems).toEqual([]);
        expect(graph.tasks.map(({ name }) => name).sort()).toEqual(tasks.map(({ task }) => task.name).sort());
        const seen = new Set<string>();
        for (const task of graph.tasks) {
          const written = tasks.find((one) => one.task.name === task.name)?.dependsOn.map(({ name }) => name) ?? [];
          expect(new Set(task.needs)).toEqual(new Set(written));
          expect(task.needs.length).toBe(new Set(task.needs).size);
          for (const need of task.needs) expect(seen).toContain(need);
          seen.add(task.name);
        }
        expect(compileGraph(makeDraft(tasks)).graph).toEqual(graph);
      }),
    );
  });

  it('knows who comes before whom', () => {
    fc.assert(
      fc.property(edges(true), (tasks) => {
        const { graph } = compileGraph(makeDraft(tasks));
        const ancestry = new Ancestry(graph.tasks);

        for (const { task } of tasks) {
          const before = reachable(tasks, task.name);
          for (const { task: other } of tasks)
            expect(ancestry.isBefore(other.name, task.name)).toBe(before.has(other.name));
        }
      }),
      { numRuns: 50 },
    );
  });

  it('finds a cycle exactly when there is one, and shows a real one', () => {
    fc.assert(
      fc.property(edges(false), (tasks) => {
        const isCyclic = tasks.some(({ task }) => reachable(tasks, task.name).has(task.name));

        const { problems } = compileGraph(makeDraft(tasks));
        const { cycles } = sortByNeeds(
          tasks.map(({ task, dependsOn }) => ({ name: task.name, needs: dependsOn.map(({ name }) => name as never) })),
        );

        expect(problems.some(({ code }) => code === 'cycle')).toBe(isCyclic);
        for (const cycle of cycles) {
          expect(cycle[0]).toBe(cycle.at(-1));
          cycle.slice(1).forEach((need, index) => {
            const owner = tasks.find(({ task }) => task.name === cycle[index]);
            expect(owner?.dependsOn.map(({ name }) => name)).toContain(need);
          });
        }
      }),
    );
  });
});
