import { describe, expect, it } from 'vitest';
import { firstLine } from '../../../src/core/model/foreign-text.ts';

describe('firstLine', () => {
  it('keeps of foreign text one line without control characters', () => {
    expect(firstLine('\n  Say \u001b[31mhello\u0007\r\nmore')).toBe('Say  [31mhello');
    expect(firstLine('a\u202eb')).toBe('a b');
    expect(firstLine('😀'.repeat(300))).toBe('😀'.repeat(200));
    expect(firstLine('')).toBe('');
  });
});
