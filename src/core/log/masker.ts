// Keeps I7: no secret enters a log. Pure, and on bytes: a log is not always text, and a secret may be cut by the border of two chunks.
import { secretForms } from './secret-forms.ts';

/** A value that shows itself only when asked; the ports' `Secret` is one. */
export interface Revealable {
  reveal(): string;
}

export interface MaskedOutput {
  /** The source offset that the masked text reaches. A new masker that begins here goes on as this one would. */
  readonly nextSource: number;
  readonly text: Uint8Array;
}

/** Replaces secrets in a stream. Offsets count the source: masking changes lengths. */
export interface Masker {
  /** The next bytes of the source. Holds back what could be the beginning of a secret. */
  push(bytes: Uint8Array): MaskedOutput;
  /** The source has ended: gives what was held back. */
  flush(): MaskedOutput;
}

/** One step of a tree of all forms of all secrets; `isEnd` when a form ends here. */
interface Step {
  readonly next: Map<number, Step>;
  isEnd: boolean;
}

interface Match {
  /** 0: no secret begins here. */
  readonly length: number;
  /** The bytes ended before it was decided. */
  readonly isOpen: boolean;
}

const replacement = bytesOf('[redacted]');

/**
 * Masks these secrets in every form of `secretForms`, the longest where several fit. `source` is the offset of the first byte to come.
 */
export function createMasker(secrets: readonly Revealable[], source: number): Masker {
  const root = makeTree(secrets.flatMap((secret) => [...secretForms(secret.reveal())]));
  return new TreeMasker(root, source);
}

class TreeMasker implements Masker {
  readonly #root: Step;
  /** By byte: may a secret begin with it? Most bytes are passed by this look alone. */
  readonly #begins = new Uint8Array(256);
  #held: Uint8Array = new Uint8Array(0);
  #source: number;

  constructor(root: Step, source: number) {
    this.#root = root;
    this.#source = source;
    for (const byte of root.next.keys()) this.#begins[byte] = 1;
  }

  push(bytes: Uint8Array): MaskedOutput {
    return this.#mask(this.#held.length === 0 ? bytes : join([this.#held, bytes]), false);
  }

  flush(): MaskedOutput {
    return this.#mask(this.#held, true);
  }

  #mask(bytes: Uint8Array, isLast: boolean): MaskedOutput {
    const parts: Uint8Array[] = [];
    let from = 0;
    let at = 0;
    for (let byte = bytes[0]; byte !== undefined; byte = bytes[at]) {
      if (this.#begins[byte] !== 1) {
        at += 1;
        continue;
      }
      const { length, isOpen } = longestMatch(this.#root, bytes, at);
      if (isOpen && !isLast) break;
      if (length > 0) {
        parts.push(bytes.subarray(from, at), replacement);
        from = at + length;
      }
      at += Math.max(length, 1);
    }
    parts.push(bytes.subarray(from, at));
    this.#held = bytes.slice(at);
    this.#source += at;
    return { nextSource: this.#source, text: join(parts) };
  }
}

function longestMatch(root: Step, bytes: Uint8Array, from: number): Match {
  let step = root;
  let length = 0;
  for (let at = from; ; at += 1) {
    const byte = bytes[at];
    if (byte === undefined) return { length, isOpen: true };
    const next = step.next.get(byte);
    if (next === undefined) return { length, isOpen: false };
    if (next.isEnd) length = at + 1 - from;
    if (next.next.size === 0) return { length, isOpen: false };
    step = next;
  }
}

function makeTree(forms: readonly Uint8Array[]): Step {
  const root: Step = { next: new Map(), isEnd: false };
  for (const form of forms) {
    let step = root;
    for (const byte of form) {
      const next = step.next.get(byte) ?? { next: new Map<number, Step>(), isEnd: false };
      step.next.set(byte, next);
      step = next;
    }
    step.isEnd = true;
  }
  return root;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function bytesOf(ascii: string): Uint8Array {
  return Uint8Array.from(ascii, (character) => character.charCodeAt(0));
}
