/** The bytes without a character that is cut off at their end: a chunk of a log may end anywhere. */
export function wholeCharacters(bytes: Uint8Array): Uint8Array {
  for (let back = 1; back <= Math.min(4, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (isContinuation(byte)) continue;
    return lengthOf(byte) > back ? bytes.subarray(0, bytes.length - back) : bytes;
  }
  return bytes; // not UTF-8: shown as it is
}

function isContinuation(byte: number): boolean {
  return (byte & 0b1100_0000) === 0b1000_0000;
}

/** How many bytes the character has that begins with this one. */
function lengthOf(byte: number): number {
  if (byte >= 0b1111_0000 && byte < 0b1111_1000) return 4;
  if (byte >= 0b1110_0000 && byte < 0b1111_0000) return 3;
  return byte >= 0b1100_0000 && byte < 0b1110_0000 ? 2 : 1;
}
