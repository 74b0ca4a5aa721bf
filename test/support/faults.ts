// What every test of the fault table shares: its seed, the length that was asked for, and where it says what it did.
import { appendFileSync } from 'node:fs';
import { expect } from 'vitest';

/** `npm run test:faults -- --long`: the whole table. */
export const isLong = process.env['FAULTS_LONG'] === 'true';

/** `npm run test:faults -- --seed N`: other choices, the same for the same number. */
export const seed = Number(process.env['FAULTS_SEED'] ?? 4711);

/** Says what a fault did and when: to whoever watches, and to the command that writes docs/faults.md. */
export function tell(what: string): void {
  say('fault', what);
}

/** Says what was counted in the end. */
export function conclude(what: string): void {
  say('count', what);
}

function say(kind: 'fault' | 'count' | 'seed', what: string): void {
  const test = expect.getState().currentTestName ?? 'set-up';
  process.stdout.write(`faults: ${new Date().toISOString()} ${what}  [${test}]\n`);
  const file = process.env['FAULTS_FILE'];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ test, kind, what })}\n`);
}

export interface Dice {
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  pick<T>(of: readonly [T, ...T[]]): T;
}

/** Choices of one test, the same for the same seed (mulberry32). Tells the seed. */
export function createDice(): Dice {
  say('seed', `seed ${String(seed)}`);
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const between = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  return { between, pick: (of) => of[between(0, of.length - 1)] ?? of[0] };
}
