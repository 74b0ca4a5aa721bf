import { describe, expect, it } from 'vitest';
import type { KnownHead } from '../../../src/core/model/delivery.ts';
import { parseSha } from '../../../src/core/model/ids.ts';
import type { Sha } from '../../../src/core/model/ids.ts';
import { findMissedPushes } from '../../../src/core/model/missed-push.ts';

const main = 'refs/heads/main';

function sha(letter: string): Sha {
  return parseSha(letter.repeat(40));
}

function known(after: Sha | undefined, delivery: string, isManual = false): KnownHead {
  return { ref: main, after, delivery, isManual };
}

const head = new Map([[main, sha('b')]]);

describe('findMissedPushes', () => {
  it('finds a head that no delivery has named, after the newest one that was', () => {
    expect(findMissedPushes(head, [known(sha('a'), 'd1')])).toEqual([
      { ref: main, before: sha('a'), after: sha('b'), key: `${main} d1 ${sha('b')}` },
    ]);
  });

  it('finds a branch that no delivery has ever named, and one that came back after it was deleted', () => {
    const created = findMissedPushes(head, []);
    const recreated = findMissedPushes(head, [known(undefined, 'd1')]);

    expect([...created, ...recreated].map(({ before }) => before)).toEqual([undefined, undefined]);
    expect(new Set([...created, ...recreated].map(({ key }) => key)).size).toBe(2);
  });

  it('finds nothing where the newest delivery named the head, or one of several that came at once did', () => {
    expect(findMissedPushes(head, [known(sha('b'), 'd1')])).toEqual([]);
    expect(findMissedPushes(head, [known(sha('a'), 'd1'), known(sha('b'), 'd2')])).toEqual([]);
  });

  it('takes a run that a person asked for as knowing its commit, but not as a move of the ref', () => {
    expect(findMissedPushes(head, [known(sha('a'), 'd1'), known(sha('b'), 'm1', true)])).toEqual([]);
    expect(findMissedPushes(head, [known(sha('c'), 'm1', true), known(sha('a'), 'd1')])).toMatchObject([
      { before: sha('a') },
    ]);
    expect(findMissedPushes(head, [known(sha('c'), 'm1', true)])).toMatchObject([{ before: undefined }]);
  });

  it('finds nothing for a ref that is gone', () => {
    expect(findMissedPushes(new Map(), [known(sha('a'), 'd1')])).toEqual([]);
  });

  it('counts A to B, back to A, again to B as three (I1)', () => {
    const keys = ['d1', 'd2', 'd3'].map((delivery, at) => {
      const [from, to] = at % 2 === 0 ? (['a', 'b'] as const) : (['b', 'a'] as const);
      const [push] = findMissedPushes(new Map([[main, sha(to)]]), [known(sha(from), delivery)]);
      return push?.key;
    });

    expect(new Set(keys).size).toBe(3);
  });
});
