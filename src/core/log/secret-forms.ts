/** Shorter ones would mask every other word, and nobody could call them secret. */
const minSecretBytes = 3;
/** A line of a key, or a part of an encoded secret: only when it cannot be an ordinary word. */
const minPartBytes = 8;

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/**
 * The byte strings by which a log could tell a secret: as it is, each line of it, and as JSON, in an address, in a form, as base64 and hexadecimal.
 * base64 puts three bytes into four characters, so a secret that is encoded together with other text (`user:password`) looks in one of three ways.
 */
export function secretForms(value: string): readonly Uint8Array[] {
  const plain = utf8(value);
  if (plain.length < minSecretBytes) return [];
  const json = JSON.stringify(value).slice(1, -1);
  const address = encodeURIComponent(value.toWellFormed());
  const texts = new Set([
    value,
    json,
    json.replaceAll('/', String.raw`\/`),
    address,
    address.replaceAll('%20', '+'),
    lower(address),
  ]);
  const trimmed = value.trim();
  if (utf8(trimmed).length >= minSecretBytes) texts.add(trimmed);
  const parts = new Set([...value.split(/\r?\n/), ...encodings(plain), ...encodings(utf8(trimmed))]);
  for (const part of parts) if (part.trim().length >= minPartBytes) texts.add(part.trim());
  return [...texts].map(utf8);
}

function encodings(bytes: Uint8Array): readonly string[] {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  const base64 = [0, 1, 2].map((shift) => base64Core(bytes, shift));
  const urlSafe = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  return [hex, hex.toUpperCase(), ...base64, ...urlSafe];
}

/** The characters that stand for these bytes alone, when `shift` other bytes came before them. */
function base64Core(bytes: Uint8Array, shift: number): string {
  let text = '';
  const firstBit = shift * 8;
  const lastBit = firstBit + bytes.length * 8;
  for (let bit = Math.ceil(firstBit / 6) * 6; bit + 6 <= lastBit; bit += 6)
    text += alphabet.charAt(sixBits(bytes, bit - firstBit));
  return text;
}

function sixBits(bytes: Uint8Array, bit: number): number {
  const index = Math.floor(bit / 8);
  const pair = (at(bytes, index) << 8) | at(bytes, index + 1);
  return (pair >> (10 - (bit % 8))) & 63;
}

/** Beyond the end stand zeros: their bits are not used. */
function at(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}

/** `%2f` for `%2F`: both are written. */
function lower(address: string): string {
  return address.replaceAll(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase());
}

/** Neither Buffer nor TextEncoder belongs to the language, and core has nothing else. */
function utf8(text: string): Uint8Array {
  const encoded = encodeURIComponent(text.toWellFormed());
  const bytes: number[] = [];
  for (let index = 0; index < encoded.length; index += 1) {
    if (encoded.charAt(index) === '%') {
      bytes.push(Number.parseInt(encoded.slice(index + 1, index + 3), 16));
      index += 2;
    } else {
      bytes.push(encoded.charCodeAt(index));
    }
  }
  return Uint8Array.from(bytes);
}
