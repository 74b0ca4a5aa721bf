import { describe, expect, it } from 'vitest';
import { nearestName, quote, suggestName } from '../../../src/core/graph/nearest-name.ts';

describe('nearestName', () => {
  it.each([
    ['timout', 'timeout'],
    ['depend_on', 'depends_on'],
    ['dependson', 'depends_on'],
    ['Depends-On', 'depends_on'],
    ['tiemout', 'timeout'],
    ['cdm', 'cmd'],
  ])('takes %s for %s', (word, meant) => {
    expect(nearestName(word, ['cmd', 'timeout', 'depends_on'])).toBe(meant);
  });

  it('does not guess from afar', () => {
    expect(nearestName('environment', ['cmd', 'env', 'type'])).toBeUndefined();
    expect(nearestName('abcd', ['wxyz'])).toBeUndefined();
    expect(nearestName('x'.repeat(61), ['x'.repeat(60)])).toBeUndefined();
  });
});

describe('suggestName', () => {
  it('names the near one, else those that exist, else says that there is none', () => {
    const many = Array.from({ length: 13 }, (_, index) => `name${index}`);

    expect(suggestName('tset', ['test', 'build'])).toBe('Did you mean "test"?');
    expect(suggestName('lint', ['test', 'build'])).toBe('Use one of "test", "build".');
    expect(suggestName('lint', many)).toMatch(/"name11", \.\.\.\.$/);
    expect(suggestName('lint', [])).toBe('There is none in this plan.');
  });
});

describe('quote', () => {
  it('keeps foreign text on one line and short', () => {
    expect(quote('a\nb')).toBe('"a\\nb"');
    expect(quote('x'.repeat(100))).toHaveLength(65);
  });
});
