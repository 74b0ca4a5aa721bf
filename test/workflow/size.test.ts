// Budgets are counted in events, not in time: the figures do not depend on the machine (ARCHITECTURE.md).
import { expect, it } from 'vitest';
import { describeRuns } from '../support/describe-runs.ts';
import { makeGraph, makeJob } from '../support/graphs.ts';
import type { Bed } from '../support/run-bed.ts';

function chain(length: number) {
  return makeGraph(
    Array.from({ length }, (_, number) => makeJob(`t${number}`, number === 0 ? [] : [`t${number - 1}`])),
  );
}

function fan(width: number) {
  return makeGraph(Array.from({ length: width }, (_, number) => makeJob(`t${number}`)));
}

/** A hand-written workflow of the same chain: start, first workflow task, and for each activity three events and a workflow task; its end. */
function handWritten(length: number): number {
  return 5 + 6 * length;
}

async function countEvents(bed: Bed, length: number, trusts: readonly string[] = []): Promise<number> {
  const { handle } = await bed.start({ graph: chain(length), trusts });
  await handle.result();
  return bed.countEvents(handle.workflowId);
}

describeRuns('the history of a run', (bed) => {
  it('costs as many events per task as a hand-written workflow, and at most 15 beside', async () => {
    const [one, ten] = [await countEvents(bed(), 1), await countEvents(bed(), 10)];

    expect((ten - one) / 9).toBe(6);
    expect(one - handWritten(1)).toBeLessThanOrEqual(15);
  });

  it('costs at most 30 events beside with a trust', async () => {
    expect((await countEvents(bed(), 3, ['cloud'])) - handWritten(3)).toBeLessThanOrEqual(30);
  });

  it.each([50, 200])(
    'walks %i tasks side by side',
    async (width) => {
      const { handle, id } = await bed().start({ graph: fan(width) });

      await expect(handle.result()).resolves.toEqual({ status: 'succeeded' });

      expect(new Set(bed().world.startedOf(id)).size).toBe(width);
      expect(await bed().countEvents(handle.workflowId)).toBeLessThan(20 + 6 * width);
    },
    60_000,
  );

  it('walks a long chain', async () => {
    const length = bed().isCached ? 100 : 30; // replayed at each step, its cost is quadratic
    const { handle, id } = await bed().start({ graph: chain(length) });

    await expect(handle.result()).resolves.toEqual({ status: 'succeeded' });

    expect(bed().world.startedOf(id)).toEqual(Array.from({ length }, (_, number) => `t${number}#1`));
  }, 60_000);
});
