import { describe, expect, it } from 'vitest';
import { cutBytes, escapeMarkdown } from '../../../../src/adapters/temporal/ui-text.ts';

describe('text for the Temporal UI', () => {
  it('shows foreign text as it is, never as markdown or HTML', () => {
    expect(escapeMarkdown('<img src=x onerror=a()>')).toBe('\\<img src=x onerror=a\\(\\)\\>');
    expect(escapeMarkdown('a | b ` c _d_ [e] & \\ !')).toBe('a \\| b \\` c \\_d\\_ \\[e\\] \\& \\\\ \\!');
    expect(escapeMarkdown('two\nlines\u0007')).toBe('two lines ');
  });

  it('cuts by bytes and keeps characters whole', () => {
    expect(cutBytes('short', 10)).toBe('short');
    expect(cutBytes('äöü', 5)).toBe('äö');
    expect(cutBytes('a😀b', 4)).toBe('a');
    expect(cutBytes('a😀b', 5)).toBe('a😀');
  });
});
