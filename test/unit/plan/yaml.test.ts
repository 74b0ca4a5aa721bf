import { YAMLException } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { readYaml, refuseSyntax, utf8Bytes } from '../../../src/core/plan/yaml.ts';

describe('readYaml', () => {
  it('knows the place and the text of every node', () => {
    const text = 'a: 3.10\nb:\n  - x\n  - {"c/d": }\ne: |\n  two\n  lines\n';

    const { value, nodes, problems } = readYaml(text);

    expect(problems).toEqual([]);
    expect(value).toEqual({ a: 3.1, b: ['x', { 'c/d': null }], e: 'two\nlines\n' });
    expect(Object.fromEntries(nodes)).toEqual({
      '': { offset: 0, keyOffset: undefined, text: undefined },
      '/a': { offset: 3, keyOffset: 0, text: '3.10' },
      '/b': { offset: 13, keyOffset: 8, text: undefined },
      '/b/0': { offset: 15, keyOffset: undefined, text: 'x' },
      '/b/1': { offset: 21, keyOffset: undefined, text: undefined },
      '/b/1/c~1d': { offset: 22, keyOffset: 22, text: '' },
      '/e': { offset: 31, keyOffset: 31, text: 'two\nlines\n' },
    });
  });

  it('goes on after what it takes out', () => {
    const { value, problems } = readYaml('a: {__proto__: {x: [1]}, b: &n 2}\nb: *n\na: 5\nc: !!int "7"\n');

    expect(value).toEqual({ a: { b: 2 }, b: null, c: '7' });
    expect(problems.map(({ problem: { code }, offset }) => `${code} ${offset}`)).toEqual([
      'key-reserved 4',
      'yaml-alias 37',
      'yaml-duplicate-key 40',
      'yaml-tag 48',
    ]);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  it('does not expand a bomb of aliases', () => {
    const lines = Array.from(
      { length: 9 },
      (_, index) => `l${index + 1}: &l${index + 1} [${Array(9).fill(`*l${index}`).join(', ')}]`,
    );

    const { problems } = readYaml(`l0: &l0 [x]\n${lines.join('\n')}\n`);

    expect(problems).toHaveLength(81);
  });
});

describe('refuseSyntax', () => {
  it('also refuses what the parser did not mean to throw', () => {
    for (const error of [new Error('broken'), new YAMLException('no mark')]) {
      expect(refuseSyntax(error).problems).toMatchObject([{ problem: { code: 'yaml-syntax' }, offset: 0 }]);
    }
  });
});

describe('utf8Bytes', () => {
  it('counts like UTF-8', () => {
    for (const text of ['', 'abc', 'äöü', '€', '🙂', 'a€🙂é']) expect(utf8Bytes(text)).toBe(Buffer.byteLength(text));
  });
});
