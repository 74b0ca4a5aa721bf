import { expect, it } from 'vitest';
import { oneLine, plainText } from '../../../workflows/ui-text.ts';

it('lets no markdown and no HTML of others through', () => {
  expect(plainText('<img src=x> *b* [l](u) `c` a_b & | # ~ !', 100)).toBe(
    '\\<img src=x\\> \\*b\\* \\[l\\]\\(u\\) \\`c\\` a\\_b \\& \\| \\# \\~ \\!',
  );
});

it('is one line, cut', () => {
  expect(plainText('  a\n\tb\u0000c  ', 100)).toBe('a b c');
  expect(plainText('x'.repeat(50), 10)).toBe('xxxxxxx...');
  expect(oneLine('test a_b\n&& echo <x>', 100)).toBe('test a_b && echo <x>');
});
