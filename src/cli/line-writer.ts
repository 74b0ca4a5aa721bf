/** Passes text on. With a prefix only whole lines, each with the prefix: lines of several tasks may come at the same time. */
export class LineWriter {
  readonly #write: (text: string) => void;
  readonly #prefix: string;
  #rest = '';

  constructor(write: (text: string) => void, prefix: string) {
    this.#write = write;
    this.#prefix = prefix;
  }

  add(text: string): void {
    if (this.#prefix === '') {
      this.#write(text);
      return;
    }
    const lines = `${this.#rest}${text}`.split('\n');
    this.#rest = lines.pop() ?? '';
    if (lines.length > 0) this.#write(lines.map((line) => `${this.#prefix}${line}\n`).join(''));
  }

  end(): void {
    if (this.#rest !== '') this.#write(`${this.#prefix}${this.#rest}\n`);
    this.#rest = '';
  }
}
