import { describe, expect, it } from 'vitest';
import { readDelivery } from '../../../src/api/delivery.ts';
import { parseJson } from '../../../src/api/json.ts';
import { isSignedBy, signBody } from '../../../src/api/signature.ts';
import { wholeCharacters } from '../../../src/api/utf8.ts';
import { Secret } from '../../../src/ports/secret.ts';

describe('JSON of a request (I10)', () => {
  it('is read when it is plain', () => {
    expect(parseJson(Buffer.from('{"a": ["]]]]", "\\\\", {"b": 1}]}'))).toEqual({ a: [']]]]', '\\', { b: 1 }] });
    expect(parseJson(Buffer.from('['.repeat(64) + ']'.repeat(64)))).toBeDefined();
  });

  it.each([
    ['depth', Buffer.from('['.repeat(65) + ']'.repeat(65)), 'nests deeper'],
    ['a million brackets', Buffer.from('{"a":'.repeat(200_000)), 'nests deeper'],
    ['bad UTF-8', Buffer.from([0x22, 0xc3, 0x22]), 'not UTF-8'],
    ['half of it', Buffer.from('{"a":'), 'not JSON'],
  ])('is refused for %s', (_case, body, message) => {
    expect(() => parseJson(body)).toThrow(message);
  });

  it('leaves the prototype alone', () => {
    const parsed = parseJson(Buffer.from('{"__proto__": {"polluted": true}}'));

    expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe('signature', () => {
  const secret = new Secret('secret');

  it('fits its body and secret only', () => {
    const signature = signBody(secret, 'body');

    expect(isSignedBy(secret, 'body', signature)).toBe(true);
    expect(isSignedBy(secret, 'bodY', signature)).toBe(false);
    expect(isSignedBy(new Secret('other'), 'body', signature)).toBe(false);
    for (const other of [
      undefined,
      '',
      'sha256=',
      signature.toUpperCase(),
      `${signature}0`,
      'sha256=' + '0'.repeat(64),
    ]) {
      expect(isSignedBy(secret, 'body', other)).toBe(false);
    }
  });

  it('is never made by an empty secret', () => {
    expect(isSignedBy(new Secret(''), 'body', signBody(new Secret(''), 'body'))).toBe(false);
  });
});

describe('delivery', () => {
  it('reads only the headers that it knows, and once', () => {
    const body = Buffer.from('{}');

    expect(readDelivery({ 'x-github-event': 'ping' }, body)).toEqual({ type: 'ping' });
    expect(() => readDelivery({ 'content-type': ['application/json', 'text/plain'] }, body)).toThrow(
      'Send the delivery as JSON',
    );
    expect(() => readDelivery({ 'content-type': 'application/jsonp', 'x-loam-delivery': 'a' }, body)).toThrow(
      'Send the delivery as JSON',
    );
  });
});

describe('a chunk of a log', () => {
  it('ends with a whole character', () => {
    const bytes = Buffer.from('aä€😀');
    const texts = Array.from({ length: bytes.length + 1 }, (_, end) =>
      new TextDecoder().decode(wholeCharacters(bytes.subarray(0, end))),
    );

    expect(texts).toEqual(['', 'a', 'a', 'aä', 'aä', 'aä', 'aä€', 'aä€', 'aä€', 'aä€', 'aä€😀']);
  });

  it('goes on although the bytes are no text', () => {
    expect(wholeCharacters(Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80]))).toHaveLength(5);
    expect(wholeCharacters(Buffer.from([0xff, 0xfe]))).toHaveLength(2);
  });
});
