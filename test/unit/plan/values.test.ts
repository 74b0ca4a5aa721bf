import { describe, expect, it } from 'vitest';
import { asWritten, toMs, toOutput, unquoteTypographic } from '../../../src/core/plan/v1/values.ts';
import { isReservedSetting, isReservedVariable, looksSecret } from '../../../src/core/plan/v1/variable-names.ts';

describe('toMs', () => {
  it('reads every unit', () => {
    expect(['90s', '15m', '2h', '7d', 30].map((one) => toMs(one))).toEqual([
      90_000, 900_000, 7_200_000, 604_800_000, 30_000,
    ]);
  });
});

describe('toOutput', () => {
  it('tells a task from its key', () => {
    expect(toOutput('build')).toEqual({ task: 'build', key: '' });
    expect(toOutput('build.digest')).toEqual({ task: 'build', key: 'digest' });
  });
});

describe('asWritten', () => {
  it('prefers the text of the plan, and does without it', () => {
    const nodes = new Map([['/a', { offset: 0, keyOffset: undefined, text: '3.10' }]]);

    expect(asWritten(nodes, '/a', 3.1)).toBe('3.10');
    expect(asWritten(nodes, '/b', 3.1)).toBe('3.1');
  });
});

describe('unquoteTypographic', () => {
  it.each(['“make”', '”make”', '„make“', '‘make’', '«make»', '  “make” '])('reads %s as meant', (text) => {
    expect(unquoteTypographic(text)).toBe('make');
  });

  it('leaves quotes inside a command alone', () => {
    expect(unquoteTypographic('echo “hi”')).toBeUndefined();
    expect(unquoteTypographic('“a')).toBeUndefined();
    expect(unquoteTypographic('“”')).toBeUndefined();
  });
});

describe('names of variables', () => {
  it('keeps those that Loam gives and those that load other code (I8)', () => {
    for (const name of [
      'PATH',
      'HOME',
      'CI',
      'LOAM_RELEASE',
      'LD_PRELOAD',
      'DYLD_INSERT_LIBRARIES',
      'BASH_ENV',
      'NODE_OPTIONS',
    ])
      expect(isReservedVariable(name)).toBe(true);
    for (const name of ['PORT', 'LOAM', 'GREETING', 'PATHS', 'NODE_ENV', 'constructor'])
      expect(isReservedVariable(name)).toBe(false);
    expect(isReservedSetting('PORT')).toBe(true);
    expect(isReservedSetting('NODE_ENV')).toBe(false);
  });

  it('knows names under which secrets are kept', () => {
    for (const name of ['token', 'DB_PASSWORD', 'API_KEY', 'apikey', 'trust_token'])
      expect(looksSecret(name)).toBe(true);
    for (const name of ['TOKEN_LIMIT', 'KEYBOARD', 'flavor', 'compass']) expect(looksSecret(name)).toBe(false);
  });
});
