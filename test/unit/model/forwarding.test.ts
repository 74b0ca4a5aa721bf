import { describe, expect, it } from 'vitest';
import { judgeForward, readRetryAfter, retryDelayMs } from '../../../src/core/model/forwarding.ts';

describe('forwarding', () => {
  it.each([
    ['done', [200, 202, 204]],
    ['dead', [400, 404, 409, 410, 413, 422]],
    ['retry', [100, 301, 307, 401, 403, 408, 429, 500, 502, 503, 504]],
  ])('judges an answer as %s', (judgement, statuses) => {
    expect(statuses.map(judgeForward)).toEqual(statuses.map(() => judgement));
  });

  it('waits longer with each failure, by chance, and at most 15 s', () => {
    expect([1, 2, 3, 7, 1_000].map((failures) => retryDelayMs(failures, 1))).toEqual([250, 500, 1_000, 15_000, 15_000]);
    expect(retryDelayMs(1, 0)).toBe(125);
    expect(retryDelayMs(1, 1, 4_000)).toBe(4_000);
  });

  it('reads for how long it was asked to wait', () => {
    const now = Date.parse('2026-01-02T03:04:05Z');

    expect(readRetryAfter('7', now)).toBe(7_000);
    expect(readRetryAfter('Fri, 02 Jan 2026 03:04:15 GMT', now)).toBe(10_000);
    expect(readRetryAfter('Fri, 02 Jan 2025 03:04:15 GMT', now)).toBe(0);
    expect(readRetryAfter('999999999', now)).toBe(600_000);
    expect(readRetryAfter('soon', now)).toBeUndefined();
    expect(readRetryAfter(null, now)).toBeUndefined();
  });
});
