// What a run of a counting job (`countingFiles`) must have come to, whatever died meanwhile.
import { expect } from 'vitest';
import { countedLines, withoutHead } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import type { Loam } from './loam.ts';
import { readLog, waitForEnd } from './runs.ts';

/** I2: it succeeds, each task at its first attempt; its job ran once, and the log of that has each line once. */
export async function expectCountedOnce(loam: Loam, ledger: Ledger, run: string): Promise<void> {
  const { status, reason, tasks } = await waitForEnd(loam, run);
  const job = `${run} count`;
  expect({ run, status, reason }).toEqual({ run, status: 'succeeded', reason: null });
  for (const task of tasks) expect(task).toMatchObject({ attempt: 1, status: 'succeeded' });
  expect(ledger.count(`${job} begins`)).toBe(1);
  expect(withoutHead(await readLog(loam, run, 'count'))).toBe(countedLines(ledger, job));
}
