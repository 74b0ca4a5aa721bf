/** Seals secrets for the database: AES-256-GCM envelope encryption; the key's id travels in the sealed text, so keys can rotate. */
export interface SecretBox {
  /** `context` (such as `trust/demo`) is authenticated: a sealed text moved to another row does not open. */
  seal(plain: string, context: string): string;
  /** Throws `internal` when the text was changed, belongs to another context, or its key is unknown. */
  open(sealed: string, context: string): Secret;
  /** Whether the key that seals now has sealed it. */
  isCurrent(sealed: string): boolean;
}

const redacted = '[redacted]';

/** A value that must not be printed (I7). It shows itself as `[redacted]` in logs, JSON and string templates; only `reveal` gives it. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return redacted;
  }
}
