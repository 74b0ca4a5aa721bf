import { expect, it } from 'vitest';
import { plainText } from '../../../workflows/ui-text.ts';

it('lets no markdown and no HTML of others through', () => {
  expect(plainText('<img src=x> *b* [l](u) `c` a_b & | # ~ !', 100)).toBe(
    '&lt;img src=x&gt; \\*b\\* \\[l\\]\\(u\\) \\`c\\` a\\_b &amp; \\| \\# \\~ \\!',
  );
});

it('is one line, cut', () => {
  expect(plainText('  a\n\tb\u0000c  ', 100)).toBe('a b c');
  expect(plainText('x'.repeat(50), 10)).toBe('xxxxxxx...');
});
