import { describe, expect, it } from 'vitest';
import { branchOf, matchesBranch, whyIgnored } from '../../../src/core/model/branch-filter.ts';
import type { Push } from '../../../src/core/model/delivery.ts';
import { parseSha } from '../../../src/core/model/ids.ts';

const older = parseSha('a'.repeat(40));
const newer = parseSha('b'.repeat(40));

function makePush(change: Partial<Push> = {}): Push {
  return { ref: 'refs/heads/main', before: older, after: newer, pushedAtMs: 1, message: '', author: '', ...change };
}

describe('branch filter', () => {
  it.each([
    [[], 'anything/at/all', true],
    [['main'], 'main', true],
    [['main'], 'mainly', false],
    [['main', 'release/*'], 'release/1.2', true],
    [['release/*'], 'release/1/2', false],
    [['release/**'], 'release/1/2', true],
    [['**'], 'a/b', true],
    [['*-fix'], 'quick-fix', true],
    [['*-fix'], '-fix', true],
    [['a.c'], 'abc', false],
    [[''], 'main', false],
    [['ümlaut-*'], 'ümlaut-ß', true],
  ])('%j holds %s: %s', (globs, branch, expected) => {
    expect(matchesBranch(globs, branch)).toBe(expected);
  });

  it('is quick on a glob of many stars', () => {
    const startedAt = performance.now();

    expect(matchesBranch([`${'*a'.repeat(50)}b`], 'a'.repeat(200))).toBe(false);

    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  it('names the branch of a ref', () => {
    expect(branchOf('refs/heads/a/b')).toBe('a/b');
    expect(branchOf('refs/tags/v1')).toBeUndefined();
  });

  it('says why a push is ignored (I1)', () => {
    expect(whyIgnored(makePush(), ['main'])).toBeUndefined();
    expect(whyIgnored(makePush({ before: undefined }), [])).toBeUndefined();
    expect(whyIgnored(makePush({ ref: 'refs/tags/v1' }), [])).toBe('refs/tags/v1 is not a branch');
    expect(whyIgnored(makePush({ after: undefined }), [])).toBe('the branch main was deleted');
    expect(whyIgnored(makePush({ after: older }), [])).toBe('the head of main did not change');
    expect(whyIgnored(makePush(), ['release', 'hotfix'])).toBe('branch filter: main is none of release, hotfix');
  });
});
