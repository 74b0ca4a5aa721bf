import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Store } from '../../../src/ports/store.ts';
import { addApplication, addRun, makeDelivery, runId } from './store-builders.ts';

const script = fileURLToPath(new URL('./store-process.ts', import.meta.url));

interface Line {
  readonly done?: true;
  readonly at?: number;
  readonly answer?: { readonly result: string; readonly number?: number };
  readonly attempt?: number;
  readonly owner?: number;
  readonly ended?: string;
}

interface Writer {
  readonly child: ChildProcess;
  readonly lines: Line[];
  /** Resolves with the exit code, null after a signal. */
  readonly ended: Promise<number | null>;
}

function startWriter(
  place: string,
  command: string,
  name: string,
  count: number,
  onLine?: (writer: Writer) => void,
): Writer {
  const child = spawn(process.execPath, [script, place, command, name, String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: Line[] = [];
  const writer = { child, lines, ended: once(child, 'close').then(([code]) => code as number | null) };
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line) as Line);
    onLine?.(writer);
  });
  return writer;
}

export interface SharedDatabase {
  /** A file, or the URL of a server: where nothing is yet. */
  readonly place: string;
  open(): Promise<Store>;
  /** Is what a killed writer left behind whole? */
  isWhole(): boolean;
  close(): Promise<void>;
}

/** Every adapter of the port passes this. */
export function testStoreProcesses(name: string, make: () => Promise<SharedDatabase>): void {
  describe(`${name}: several processes at once`, () => testProcesses(make));
}

function testProcesses(make: () => Promise<SharedDatabase>): void {
  let database: SharedDatabase;
  let place: string;

  beforeEach(async () => {
    database = await make();
    place = database.place;
  });

  afterEach(async () => {
    await database.close();
  });

  async function withStore<T>(work: (store: Store) => Promise<T>): Promise<T> {
    const store = await database.open();
    try {
      return await work(store);
    } finally {
      await store.close();
    }
  }

  it('make the tables of a new file together', async () => {
    const writers = ['a', 'b', 'c', 'd'].map((name) => startWriter(place, 'open', name, 0));

    const codes = await Promise.all(writers.map((writer) => writer.ended));

    expect(codes).toEqual([0, 0, 0, 0]);
    expect(await withStore((store) => store.runs.list({ limit: 1 }))).toEqual([]);
  });

  it('make one run of each delivery, without a gap in the numbers (I1)', async () => {
    await withStore(addApplication);
    const writers = ['a', 'b', 'c', 'd'].map((name) => startWriter(place, 'receive', name, 60));

    const codes = await Promise.all(writers.map((writer) => writer.ended));

    expect(codes).toEqual([0, 0, 0, 0]);
    const answers = writers.flatMap((writer) => writer.lines.flatMap((line) => line.answer ?? []));
    const accepted = answers.filter((answer) => answer.result === 'accepted').map((answer) => Number(answer.number));
    expect(answers).toHaveLength(240);
    expect(accepted.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, at) => at + 1));
    expect(await withStore((store) => store.runs.unstarted(100))).toHaveLength(60);
  });

  it('end each attempt once (I2)', async () => {
    await withStore(addRun);
    const writers = ['a', 'b', 'c', 'd'].map((name) => startWriter(place, 'work', name, 40));

    await Promise.all(writers.map((writer) => writer.ended));

    const attempts = await withStore((store) => store.tasks.attempts(runId(1)));
    expect(attempts.map((one) => one.status)).toEqual(Array(40).fill('failed'));
    const winners = new Map(attempts.map((one) => [one.attempt, one.reason]));
    const told = writers.flatMap((writer) => writer.lines.filter((line) => line.ended !== undefined));
    expect(told.every((line) => line.ended === winners.get(line.attempt ?? 0))).toBe(true);
    const owners = writers.flatMap((writer) =>
      writer.lines.flatMap((line) =>
        line.attempt === undefined ? [] : `${String(line.attempt)}/${String(line.owner)}`,
      ),
    );
    expect(new Set(owners).size).toBe(owners.length);
  });

  it('lose nothing that was answered when one is killed in the middle (I1)', async () => {
    await withStore(addApplication);
    const other = startWriter(place, 'receive', 'other', 150);
    const victim = startWriter(place, 'receive', 'victim', 100_000, (writer) => {
      if (writer.lines.length === 40) writer.child.kill('SIGKILL');
    });

    const [code] = await Promise.all([other.ended, victim.ended]);

    expect(code).toBe(0);
    const told = [...other.lines, ...victim.lines].filter((line) => line.answer !== undefined);
    expect(told.length).toBeGreaterThan(180);
    await withStore(async (store) => {
      for (const { at, answer } of told) {
        const repeated = await store.deliveries.receive(makeDelivery(`d${String(at)}`));
        expect(repeated).toMatchObject({ result: 'duplicate', number: answer?.number });
      }
    });
    expect(database.isWhole()).toBe(true);
  });
}
