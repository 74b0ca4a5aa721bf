import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMasker } from '../../../src/core/log/masker.ts';
import type { MaskedOutput } from '../../../src/core/log/masker.ts';
import { Secret } from '../../../src/ports/secret.ts';

const decoder = new TextDecoder();

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function maskAll(
  secrets: readonly string[],
  chunks: readonly Uint8Array[],
  source = 0,
): { text: string; outputs: MaskedOutput[] } {
  const masker = createMasker(
    secrets.map((value) => new Secret(value)),
    source,
  );
  const outputs = [...chunks.map((chunk) => masker.push(chunk)), masker.flush()];
  return { text: outputs.map(({ text }) => decoder.decode(text)).join(''), outputs };
}

function mask(secrets: readonly string[], text: string): string {
  return maskAll(secrets, [bytes(text)]).text;
}

describe('createMasker', () => {
  it('passes everything when there is no secret', () => {
    expect(mask([], 'a b c')).toBe('a b c');
  });

  it('replaces a secret wherever it stands', () => {
    expect(mask(['hunter2'], 'hunter2 and hunter2')).toBe('[redacted] and [redacted]');
  });

  it('replaces the longest of several that fit', () => {
    expect(mask(['abc', 'abcdef'], 'abcde abcdef abc')).toBe('[redacted]de [redacted] [redacted]');
  });

  it('begins anew after a false start', () => {
    expect(mask(['aab'], 'aaab aa')).toBe('a[redacted] aa');
  });

  it('leaves what is too short to be a secret', () => {
    expect(mask(['ab', '', '  a  '], 'ab a')).toBe('ab a');
  });

  it.each([
    ['JSON', JSON.stringify({ p: 'a"b\\c/d\n' })],
    ['JSON with escaped slashes', JSON.stringify({ p: 'a"b\\c/d\n' }).replaceAll('/', String.raw`\/`)],
    ['an address', `https://x.test/?p=${encodeURIComponent('a"b\\c/d\n')}`],
    ['an address in lower case', `https://x.test/?p=${encodeURIComponent('a"b\\c/d\n').toLowerCase()}`],
    ['its trimmed form', 'a"b\\c/d'],
  ])('replaces a secret in %s', (_, text) => {
    const masked = mask(['a"b\\c/d\n'], text);

    expect(masked).toContain('[redacted]');
    expect(masked).not.toContain('c/d');
  });

  it('replaces a secret in a form, where a space is a plus', () => {
    expect(mask(['one two'], 'p=one+two&q=one%20two')).toBe('p=[redacted]&q=[redacted]');
  });

  it('replaces each line of a key', () => {
    const key = '-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END KEY-----\n';

    expect(mask([key], '  MIIEvQIBADAN\n  BgkqhkiG9w0B\n')).toBe('  [redacted]\n  [redacted]\n');
  });

  it.each(['', 'u', 'us', 'usr', 'user'])('replaces the base64 of a secret after "%s"', (user) => {
    const encoded = Buffer.from(`${user}:correct horse battery:x`).toString('base64');

    const masked = mask(['correct horse battery'], `Authorization: Basic ${encoded}`);

    expect(masked).toContain('[redacted]');
    expect(Buffer.from(masked.split('[redacted]').at(-1) ?? '', 'base64').toString()).not.toContain('battery');
    expect(masked).not.toContain(encoded.slice(10, 20));
  });

  it('replaces the hexadecimal form', () => {
    expect(mask(['secret!'], Buffer.from('secret!').toString('hex'))).toBe('[redacted]');
  });

  it('replaces a secret that is not well-formed text or not ASCII', () => {
    expect(mask(['pässwörd'], 'x pässwörd y')).toBe('x [redacted] y');
    expect(mask(['bad\ud800text'], 'bad\ufffdtext')).toBe('[redacted]');
  });

  it('holds back only what could be the beginning of a secret', () => {
    const masker = createMasker([new Secret('hunter2')], 100);

    const first = masker.push(bytes('say hun'));
    const second = masker.push(bytes('gry'));
    const third = masker.flush();

    expect([first.nextSource, decoder.decode(first.text)]).toEqual([104, 'say ']);
    expect([second.nextSource, decoder.decode(second.text)]).toEqual([110, 'hungry']);
    expect([third.nextSource, third.text.length]).toEqual([110, 0]);
  });

  it('gives the beginning of a secret when nothing follows, and a short one that could have become a long one', () => {
    expect(mask(['hunter2'], 'hunter')).toBe('hunter');
    expect(mask(['abc', 'abcdef'], 'abcde')).toBe('[redacted]de');
  });

  const written: readonly (readonly [string, (secret: string, before: string, after: string) => string])[] = [
    ['as it is', (secret) => secret],
    ['as JSON', (secret) => JSON.stringify(secret).slice(1, -1)],
    ['in an address', (secret) => encodeURIComponent(secret)],
    ['in a form', (secret) => new URLSearchParams({ p: secret }).toString().slice(2)],
    ['as base64', (secret, before, after) => base64Of(secret, before, after, 'base64')],
    ['as base64 for addresses', (secret, before, after) => base64Of(secret, before, after, 'base64url')],
    ['as hexadecimal', (secret) => Buffer.from(secret).toString('hex')],
  ];

  /** The characters that tell of the secret alone, when other text is encoded with it. */
  function base64Of(secret: string, before: string, after: string, encoding: 'base64' | 'base64url'): string {
    const [from, to] = [Buffer.byteLength(before), Buffer.byteLength(before + secret)];
    const whole = Buffer.from(before + secret + after).toString(encoding);
    return whole.slice(Math.ceil((from * 8) / 6), Math.floor((to * 8) / 6));
  }

  it.each(written)('lets no random secret through %s, wherever the chunks are cut', (_title, write) => {
    // Letters, and what JSON, addresses and forms write in another way. A form writes some signs of ASCII that an address leaves: not these.
    const secrets = fc.string({
      minLength: 12,
      maxLength: 40,
      unit: fc.constantFrom(...Array.from('abcXYZ019 "\\/+=&?%#äß€\n\t')),
    });
    const text = fc.string({ maxLength: 5, unit: fc.constantFrom(...Array.from('ab:=-')) });

    fc.assert(
      fc.property(secrets, text, text, fc.array(fc.nat(9), { maxLength: 40 }), (secret, before, after, sizes) => {
        fc.pre(secret.trim().length >= 12);
        const telling = write(secret, before, after);
        const chunks: Uint8Array[] = [];
        let rest = bytes(`${before}>${telling}<${after}`);
        for (const size of sizes) {
          chunks.push(rest.subarray(0, size));
          rest = rest.subarray(size);
        }

        const { outputs } = maskAll([secret], [...chunks, rest]);
        const masked = Buffer.concat(outputs.map((output) => output.text)).toString();

        expect(masked).toContain('[redacted]');
        expect(masked).not.toContain(telling);
      }),
    );
  });

  it('masks the same in whatever pieces the output comes, and after a restart at any offset it answered', () => {
    const secrets = ['abc', 'abcab', 'bca', 'longer secret'];
    const alphabet = fc.constantFrom('a', 'b', 'c', ' ', 'longer ', 'secret', '\n');
    const whole = fc.array(alphabet, { maxLength: 60 }).map((parts) => parts.join(''));

    fc.assert(
      fc.property(whole, fc.array(fc.nat(20), { maxLength: 20 }), fc.nat(20), (text, sizes, restart) => {
        const chunks: Uint8Array[] = [];
        let rest = bytes(text);
        for (const size of sizes) {
          chunks.push(rest.subarray(0, size));
          rest = rest.subarray(size);
        }
        const { outputs, text: inPieces } = maskAll(secrets, [...chunks, rest]);
        const kept = outputs.slice(0, (restart % outputs.length) + 1);
        const from = kept.at(-1)?.nextSource ?? 0;
        const before = kept.map((output) => decoder.decode(output.text)).join('');
        const after = maskAll(secrets, [bytes(text).subarray(from)], from).text;

        expect(inPieces).toBe(mask(secrets, text));
        expect(before + after).toBe(inPieces);
        expect(outputs.at(-1)?.nextSource).toBe(bytes(text).length);
      }),
    );
  });
});
