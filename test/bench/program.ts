// What every bench has: its options, a Loam of its own that is gone afterwards also when it is interrupted, rounds in turn.
import { parseArgs } from 'node:util';
import { createLoam } from '../support/loam.ts';
import type { Loam } from '../support/loam.ts';

export type BenchOptions<Name extends string> = Readonly<Record<Name, number>> & {
  /** Where to write the report too. */
  readonly json: string | undefined;
};

/** A whole number that an option gives. */
export interface Amount {
  readonly standard: number;
  readonly least: number;
}

/** Undefined: they are wrong, and the usage was printed. */
export function readOptions<Name extends string>(
  usage: string,
  amounts: Readonly<Record<Name, Amount>>,
): BenchOptions<Name> | undefined {
  const names = Object.keys(amounts) as Name[];
  const texts = names.map((name) => [name, { type: 'string', default: String(amounts[name].standard) }] as const);
  try {
    const { values } = parseArgs({ options: { ...Object.fromEntries(texts), json: { type: 'string' } } });
    const given = values as Readonly<Record<string, string | undefined>>;
    const numbers = Object.fromEntries(names.map((name) => [name, Number(given[name])])) as Record<Name, number>;
    if (names.every((name) => Number.isInteger(numbers[name]) && numbers[name] >= amounts[name].least))
      return { ...numbers, json: given['json'] };
  } catch (error) {
    process.stderr.write(`${String(error)}\n`);
  }
  process.stderr.write(usage);
  return undefined;
}

export async function withLoam(
  bench: (loam: Loam) => Promise<void>,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const loam = await createLoam(env);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void loam.destroy().finally(() => process.exit(130)));
  }
  try {
    say('starting a Loam of its own');
    await loam.start();
    await bench(loam);
  } finally {
    await loam.destroy();
  }
}

/** A B C A B C ...: a disturbance that lasts hits all of them. One round more than counts. */
export async function interleave(name: string, rounds: number, cases: readonly (() => Promise<void>)[]): Promise<void> {
  say(`${name}: ${rounds} rounds and one to warm up`);
  for (let round = 0; round <= rounds; round += 1) for (const one of cases) await one();
}

export function say(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}

/** As `interleave`, for cases that each give one number; the round that warms up is left out. */
export async function takeTurns<Name extends string>(
  name: string,
  rounds: number,
  cases: Readonly<Record<Name, () => Promise<number>>>,
): Promise<Readonly<Record<Name, readonly number[]>>> {
  const names = Object.keys(cases) as Name[];
  const taken = {} as Record<Name, number[]>;
  for (const one of names) taken[one] = [];
  await interleave(
    name,
    rounds,
    names.map((one) => async () => void taken[one].push(await cases[one]())),
  );
  for (const one of names) taken[one].shift();
  return taken;
}
