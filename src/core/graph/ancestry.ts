import type { TaskName } from '../model/ids.ts';
import type { Node } from './order.ts';

/** Who comes before whom: one bit per pair, so that a graph of 500 tasks costs 16 words per edge. */
export class Ancestry {
  readonly #indexes = new Map<TaskName, number>();
  readonly #ancestors: Uint32Array[] = [];

  /** `sorted`: every task after its needs. */
  constructor(sorted: readonly Node[]) {
    const words = Math.ceil(sorted.length / 32);
    for (const { name, needs } of sorted) {
      const own = new Uint32Array(words);
      for (const need of needs) {
        const index = Number(this.#indexes.get(need));
        own[index >>> 5] = Number(own[index >>> 5]) | (1 << (index & 31));
        this.#ancestors[index]?.forEach((word, at) => (own[at] = Number(own[at]) | word));
      }
      this.#indexes.set(name, this.#ancestors.length);
      this.#ancestors.push(own);
    }
  }

  isBefore(ancestor: TaskName, task: TaskName): boolean {
    const bits = this.#ancestors[Number(this.#indexes.get(task))];
    const index = Number(this.#indexes.get(ancestor));
    return bits !== undefined && ((Number(bits[index >>> 5]) >>> (index & 31)) & 1) === 1;
  }
}
