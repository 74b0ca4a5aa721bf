import { splitLines, unfinishedEnd } from './terminal.ts';

/** Passes text on, in pieces that can be cleaned one by one. With a prefix only whole lines, each with the prefix: lines of several tasks may come at the same time. */
export class LineWriter {
  readonly #write: (text: string) => void;
  readonly #prefix: string;
  #rest = '';

  constructor(write: (text: string) => void, prefix: string) {
    this.#write = write;
    this.#prefix = prefix;
  }

  add(text: string): void {
    const all = `${this.#rest}${text}`;
    const end = unfinishedEnd(all);
    const ready = all.slice(0, all.length - end.length);
    if (this.#prefix === '') {
      this.#rest = end;
      if (ready !== '') this.#write(ready);
      return;
    }
    const lines = splitLines(ready);
    this.#rest = `${lines.pop() ?? ''}${end}`;
    if (lines.length > 0) this.#write(lines.map((line) => `${this.#prefix}${line}\n`).join(''));
  }

  end(): void {
    const line = `${this.#prefix}${this.#rest}`;
    if (this.#rest !== '') this.#write(this.#prefix === '' ? line : `${line}\n`);
    this.#rest = '';
  }
}
