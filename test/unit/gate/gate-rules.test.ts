import { describe, expect, it } from 'vitest';
import { whyBranchRefused } from '../../../src/core/gate/branch-rule.ts';
import { compareConfig } from '../../../src/core/gate/compare-config.ts';

describe('compareConfig', () => {
  it('names what was added, removed and changed, in order, and no value', () => {
    const before = { B: '1', A: '1', SAME: 'x', OLD: '' };
    const after = { SAME: 'x', B: '2', NEW: 'y', A: '2' };

    expect(compareConfig(before, after)).toEqual({
      configAdded: ['NEW'],
      configRemoved: ['OLD'],
      configChanged: ['A', 'B'],
    });
  });

  it('takes a name of an object for a name like any other', () => {
    expect(compareConfig({}, { constructor: 'x' }).configAdded).toEqual(['constructor']);
  });
});

describe('whyBranchRefused', () => {
  const environment = { name: 'production', branches: ['main', 'release/*'] };

  it.each(['refs/heads/main', 'refs/heads/release/1'])('lets %s pass', (ref) => {
    expect(whyBranchRefused(environment, ref)).toBeUndefined();
  });

  it('lets everything pass where no branch is named', () => {
    expect(whyBranchRefused({ ...environment, branches: [] }, 'refs/tags/v1')).toBeUndefined();
  });

  it.each([
    ['refs/heads/feature', 'feature'],
    ['refs/tags/v1', 'refs/tags/v1'],
  ])('refuses %s and says which may', (ref, shown) => {
    expect(whyBranchRefused(environment, ref)).toBe(
      `environment production takes only the branches main, release/*, and this is ${shown}`,
    );
  });
});
