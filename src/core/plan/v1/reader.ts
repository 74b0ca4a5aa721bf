import type { z } from 'zod';
import { jsonPointer } from '../../graph/json-pointer.ts';
import { quote } from '../../graph/nearest-name.ts';
import type { Value } from '../../graph/graph.ts';
import type { Setting } from '../plan.ts';
import { problem } from '../problem-kinds.ts';
import type { PlanProblem, ProblemCode } from '../problem-kinds.ts';
import type { Node } from '../sieve.ts';
import { toProblems } from './issues.ts';
import type { Part } from './issues.ts';
import { limits } from './schema.ts';
import { toSetting, toValue, unquoteTypographic } from './values.ts';
import type { WrittenEnv, WrittenSetting } from './values.ts';
import { isReservedSetting, isReservedVariable, looksSecret } from './variable-names.ts';

export type Mapping = Readonly<Record<string, unknown>>;

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Collects problems while the parts of a plan are read. */
export class PlanReader {
  readonly nodes: ReadonlyMap<string, Node>;
  readonly problems: PlanProblem[] = [];

  constructor(nodes: ReadonlyMap<string, Node>) {
    this.nodes = nodes;
  }

  report(code: ProblemCode, path: readonly PropertyKey[], message: string, remedy: string): void {
    this.problems.push(problem(code, jsonPointer(path), message, remedy));
  }

  /** The part as its schema has it; undefined when it is wrong, which is reported. */
  check<Schema extends z.ZodType>(part: Part, schema: Schema, raw: unknown): z.infer<Schema> | undefined {
    const result = schema.safeParse(raw);
    if (result.success) return result.data;
    this.problems.push(...toProblems(part, raw, result.error));
    return undefined;
  }

  /** A command read as it was meant: without the typographic quotes of a word processor around it. */
  command(path: readonly string[], written: string): string {
    const meant = unquoteTypographic(written);
    if (meant === undefined) return written;
    const remedy = 'Use plain quotes, or none. It is read without them.';
    this.report('quotes-typographic', path, 'The command stands in typographic quotes', remedy);
    return meant;
  }

  settings(path: readonly string[], written: Readonly<Record<string, WrittenSetting>> = {}): Record<string, Setting> {
    this.#checkVariables(path, Object.keys(written), isReservedSetting);
    const entries = Object.entries(written).map(([name, value]) => {
      const setting = toSetting(this.nodes, jsonPointer([...path, name]), value);
      if ('literal' in setting) this.#warnOfSecret([...path, name], name, setting.literal);
      return [name, setting] as const;
    });
    return Object.fromEntries(entries);
  }

  values(path: readonly string[], written: WrittenEnv = {}): Record<string, Value> {
    this.#checkVariables(path, Object.keys(written), isReservedVariable);
    const entries = Object.entries(written).map(([name, raw]) => {
      const value = toValue(this.nodes, jsonPointer([...path, name]), raw);
      if ('literal' in value) this.#warnOfSecret([...path, name], name, value.literal);
      return [name, value] as const;
    });
    return Object.fromEntries(entries);
  }

  #checkVariables(path: readonly string[], names: readonly string[], isReserved: (name: string) => boolean): void {
    if (names.length > limits.variables) {
      this.report(
        'too-many',
        path,
        `There are more than ${limits.variables} variables`,
        'Put them into a file of the repository.',
      );
    }
    for (const name of names.filter(isReserved)) {
      const remedy = 'Choose another name, or set it in the command: NAME=value command.';
      this.report('name-reserved', [...path, name], `${quote(name)} is set by Loam or is unsafe`, remedy);
    }
  }

  #warnOfSecret(path: readonly string[], name: string, literal: string): void {
    if (literal === '' || !looksSecret(name)) return;
    const remedy = 'If it is one: store it with `loam secret` and write {secret: name}.';
    this.report('literal-secret', path, `${quote(name)} looks like a secret and stands in the plan`, remedy);
  }
}
