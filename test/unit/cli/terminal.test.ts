import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineWriter } from '../../../src/cli/line-writer.ts';
import { cleanText, jsonLine } from '../../../src/cli/terminal.ts';

const esc = '\u001b';
const hostile = fc
  .array(
    fc.constantFrom(
      ...['a', ' ', '\n', '\r', '\t', '\b', '\u0000', '\u0007', '\u009b', '\u009d', '\u007f', '\u202e', '\u2066'],
      ...[esc, `${esc}[`, `${esc}]0;title\u0007`, `${esc}[2J`, `${esc}[31`, 'm', '1;', ':', `${esc}[31m`, `${esc}c`],
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''));

/** Nothing but lines, tabs and colours. */
function isHarmless(text: string): boolean {
  return !/[^\P{Cc}\t\n]|\p{Bidi_Control}/u.test(text.replaceAll(new RegExp(`${esc}\\[[0-9;:]*m`, 'g'), ''));
}

describe('text that others wrote, on its way to a terminal', () => {
  it.each([
    ['a colour', `${esc}[1;31mred${esc}[0m x`, `${esc}[1;31mred${esc}[0m x`, 'red x'],
    ['a colour that does not end', `${esc}[7mred\nnext`, `${esc}[7mred${esc}[0m\nnext`, 'red\nnext'],
    ['a cleared screen', `a${esc}[2Jb`, 'a␛[2Jb', 'a␛[2Jb'],
    ['a title of the window', `${esc}]0;owned\u0007`, '␛]0;owned␇', '␛]0;owned␇'],
    ['a question that the terminal types an answer to', `${esc}[6n${esc}[c`, '␛[6n␛[c', '␛[6n␛[c'],
    ['controls of one character (C1)', '\u009b2J\u009d0;x\u009c', '�2J�0;x�', '�2J�0;x�'],
    ['a line written over itself', 'ok: deployed\rfailed', 'ok: deployed\nfailed', 'ok: deployed\nfailed'],
    ['line ends of two characters', 'a\r\nb\r\n', 'a\nb\n', 'a\nb\n'],
    ['text deleted again', 'a\b\bb\u007f', 'a␈␈b�', 'a␈␈b�'],
    ['text turned around', 'a\u202ecod.exe', 'a�cod.exe', 'a�cod.exe'],
    ['tabs, accents and emoji', '\tZoë 👩‍🚀', '\tZoë 👩‍🚀', '\tZoë 👩‍🚀'],
  ])('shows %s harmlessly', (_what, text, colored, plain) => {
    expect(cleanText(text, true)).toBe(colored);
    expect(cleanText(text, false)).toBe(plain);
  });

  it('lets nothing but colours pass, and without colours not these, whatever comes', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(isHarmless(cleanText(text, true))).toBe(true);
        expect(cleanText(text, false)).not.toContain(esc);
        expect(isHarmless(cleanText(text, false))).toBe(true);
      }),
    );
  });

  it('knows a sequence that is cut between two chunks, with and without a prefix', () => {
    fc.assert(
      fc.property(fc.array(hostile), fc.constantFrom('', 'test | '), (chunks, prefix) => {
        let [written, whole] = ['', ''];
        const pieces = new LineWriter((text) => (written += cleanText(text, false)), prefix);
        const once = new LineWriter((text) => (whole += cleanText(text, false)), prefix);
        for (const chunk of chunks) pieces.add(chunk);
        once.add(chunks.join(''));
        pieces.end();
        once.end();
        expect(written).toBe(whole);
        if (prefix !== '')
          expect(written.split('\n').every((line) => line === '' || line.startsWith(prefix))).toBe(true);
      }),
    );
  });

  it('escapes in JSON also what JSON lets stand, and changes no value', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const line = jsonLine({ text });
        expect(line.slice(0, -1)).not.toMatch(/\p{Cc}|\p{Bidi_Control}/u);
        expect(cleanText(line, true)).toBe(line);
        expect(JSON.parse(line)).toEqual({ text });
      }),
    );
  });
});
