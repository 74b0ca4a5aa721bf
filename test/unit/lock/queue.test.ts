import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  emptyQueue,
  enqueue,
  findSuperseded,
  grant,
  isGone,
  positionOf,
  remove,
} from '../../../src/core/lock/queue.ts';
import type { LockQueue } from '../../../src/core/lock/queue.ts';
import { lockHolder } from '../../../src/core/model/ids.ts';
import type { RunId, TaskName } from '../../../src/core/model/ids.ts';

function holderOf(run: string, task = 'deploy'): string {
  return lockHolder(run as RunId, task as TaskName, 1);
}

function queueOf(...runs: readonly string[]): LockQueue {
  return runs.map((run) => holderOf(run)).reduce(enqueue, emptyQueue);
}

const [first, second, third] = [holderOf('thingy/1'), holderOf('thingy/2'), holderOf('thingy/3')];

describe('the queue of a lock', () => {
  it('keeps the order in which was asked, and asks of the same holder change nothing', () => {
    const queue = enqueue(queueOf('thingy/1', 'thingy/2'), first);

    expect(queue.entries).toEqual([{ holder: first }, { holder: second }]);
    expect([positionOf(queue, first), positionOf(queue, second), positionOf(queue, third)]).toEqual([0, 1, undefined]);
  });

  it('grants only the first', () => {
    const queue = queueOf('thingy/1', 'thingy/2');

    expect(grant(queue, second, 7)).toBe(queue);
    expect(grant(queue, first, 7).entries[0]).toEqual({ holder: first, fence: 7 });
    expect(grant(emptyQueue, first, 7)).toBe(emptyQueue);
  });

  it('does not take back who has left, when a late question arrives', () => {
    const queue = remove(remove(queueOf('thingy/1', 'thingy/2'), first), first);

    expect(isGone(queue, first)).toBe(true);
    expect(enqueue(queue, first)).toBe(queue);
    expect(queue.gone).toEqual([first]);
  });

  it('forgets who left long ago', () => {
    let queue = emptyQueue;
    for (let number = 1; number <= 150; number += 1) queue = remove(queue, holderOf(`thingy/${number}`));

    expect(queue.gone).toHaveLength(100);
    expect(isGone(queue, holderOf('thingy/150'))).toBe(true);
  });
});

describe('newest wins', () => {
  it('sends away older runs that wait, but never the holder', () => {
    const queue = grant(queueOf('thingy/1', 'thingy/2', 'thingy/10', 'thingy/10/2'), first, 1);

    expect(findSuperseded(queue, 'newest')).toEqual([
      { holder: second, by: holderOf('thingy/10') },
      { holder: holderOf('thingy/10'), by: holderOf('thingy/10/2') },
    ]);
    expect(findSuperseded(queue, 'queue')).toEqual([]);
  });

  it('sends away an older run that comes after a newer one', () => {
    const queue = enqueue(grant(queueOf('thingy/2'), second, 1), first);

    expect(findSuperseded(queue, 'newest')).toEqual([{ holder: first, by: second }]);
  });

  it('leaves two deploys of one run alone, and what is not a run of ours', () => {
    const queue = ['x', holderOf('thingy/1', 'a'), holderOf('thingy/1', 'b')].reduce(enqueue, emptyQueue);

    expect(findSuperseded(queue, 'newest')).toEqual([{ holder: 'x', by: holderOf('thingy/1', 'a') }]);
  });
});

it('I3: over any order of questions, grants and releases there is one holder, the one that asked first', () => {
  const action = fc.record({
    type: fc.constantFrom('enqueue', 'grant', 'remove'),
    run: fc.integer({ min: 1, max: 8 }),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      let queue = emptyQueue;
      let fence = 0;
      const asked: string[] = [];
      for (const { type, run } of actions) {
        const holder = holderOf(`thingy/${run}`);
        if (type === 'enqueue') queue = enqueue(queue, holder);
        if (type === 'enqueue' && !asked.includes(holder) && !isGone(queue, holder)) asked.push(holder);
        if (type === 'grant') queue = grant(queue, holder, (fence += 1));
        if (type === 'remove') queue = remove(queue, holder);

        const granted = queue.entries.filter((entry) => entry.fence !== undefined);
        expect(granted.length).toBeLessThanOrEqual(1);
        expect(queue.entries.slice(1).every((entry) => entry.fence === undefined)).toBe(true);
        expect(queue.entries.map((entry) => entry.holder)).toEqual(asked.filter((one) => !isGone(queue, one)));
      }
    }),
  );
});
