import { afterAll, beforeAll, describe, inject } from 'vitest';
import { openBed } from './run-bed.ts';
import type { Bed } from './run-bed.ts';

/** A suite over real workflows, once as in production and once with an empty cache, which replays the history at each step. */
export function describeRuns(title: string, suite: (bed: () => Bed) => void): void {
  describe.each([{ maxCachedWorkflows: 300 }, { maxCachedWorkflows: 0 }])(
    `${title}, cache of $maxCachedWorkflows`,
    ({ maxCachedWorkflows }) => {
      let bed: Bed | undefined;

      beforeAll(async () => {
        const bundlePath = inject('workflowBundlePath');
        bed = await openBed({ address: inject('temporalAddress'), bundlePath, maxCachedWorkflows });
      });

      afterAll(async () => {
        await bed?.close();
      });

      suite(() => {
        if (bed === undefined) throw new Error('the bed is open within a test only');
        return bed;
      });
    },
  );
}
