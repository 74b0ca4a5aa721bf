import type { z } from 'zod';
import type { DraftOutput } from '../../graph/draft.ts';
import type { OutputReference, Value } from '../../graph/graph.ts';
import type { TaskName } from '../../model/ids.ts';
import type { Node } from '../sieve.ts';
import type { Setting } from '../plan.ts';
import type { application, duration, retry, task, tasks } from './schema.ts';

export type Duration = z.infer<typeof duration>;
export type Retry = z.infer<typeof retry>;
export type WrittenTask = z.infer<typeof task>;
type WrittenConfig = NonNullable<z.infer<typeof application>['config']>;
export type WrittenSetting = WrittenConfig[string];
export type WrittenEnv = NonNullable<z.infer<typeof tasks.repo_job>['env']>;
export type WrittenValue = WrittenEnv[string];

const units = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export function toMs(written: Duration): number {
  if (typeof written === 'number') return written * 1000;
  return Number(written.slice(0, -1)) * units[written.slice(-1) as keyof typeof units];
}

export function toOutput(written: string): OutputReference {
  const dot = written.indexOf('.');
  if (dot < 0) return { task: written as TaskName, key: '' };
  return { task: written.slice(0, dot) as TaskName, key: written.slice(dot + 1) };
}

/** Numbers and booleans as they stand in the text: `3.10` must not become 3.1, nor `010` 10. */
export function asWritten(nodes: ReadonlyMap<string, Node>, pointer: string, value: string | number | boolean): string {
  return nodes.get(pointer)?.text ?? String(value);
}

export function toSetting(nodes: ReadonlyMap<string, Node>, pointer: string, written: WrittenSetting): Setting {
  return typeof written === 'object' ? { secret: written.secret } : { literal: asWritten(nodes, pointer, written) };
}

export function toValue(nodes: ReadonlyMap<string, Node>, pointer: string, written: WrittenValue): Value {
  if (typeof written !== 'object') return { literal: asWritten(nodes, pointer, written) };
  return 'secret' in written ? { secret: written.secret } : { output: toOutput(written.get_output) };
}

export function outputOf(value: Value | undefined, pointer: string, use: DraftOutput['use']): readonly DraftOutput[] {
  return value !== undefined && 'output' in value ? [{ ...value.output, pointer: `${pointer}/get_output`, use }] : [];
}

const quotePairs: readonly (readonly [string, string])[] = [
  ['\u201c', '\u201d'],
  ['\u201d', '\u201d'],
  ['\u201e', '\u201c'],
  ['\u201e', '\u201d'],
  ['\u2018', '\u2019'],
  ['\u2019', '\u2019'],
  ['\u201a', '\u2018'],
  ['\u00ab', '\u00bb'],
];

/** The command inside typographic quotes, which word processors make of plain ones; undefined when it stands in none. */
export function unquoteTypographic(command: string): string | undefined {
  const text = command.trim();
  const isQuoted = text.length > 2 && quotePairs.some(([open, close]) => text.startsWith(open) && text.endsWith(close));
  return isQuoted ? text.slice(1, -1) : undefined;
}
