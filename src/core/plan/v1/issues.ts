import type { z } from 'zod';
import { jsonPointer } from '../../graph/json-pointer.ts';
import { nearestName, quote } from '../../graph/nearest-name.ts';
import { problem } from '../problem-kinds.ts';
import type { PlanProblem } from '../problem-kinds.ts';

/** A part of the plan that is checked on its own. */
export interface Part {
  /** Where it stands, such as `['workflow', 'test']`. */
  readonly path: readonly string[];
  /** How people call it, such as `task "test"`. */
  readonly title: string;
  /** Its keys, for the remedy of a misspelt one. */
  readonly keys: readonly string[];
}

/** More are not shown anyway, and a hostile plan may have thousands. */
const maxKeys = 100;

const nestedKeys: Readonly<Record<string, readonly string[]>> = { retry: ['attempts', 'delay'] };

/** What people often look for and do not find. */
const hints: Readonly<Record<string, string>> = {
  inputs: 'Inputs do not exist; write the values into `env`, or add a secret with `loam secret`.',
  needs: 'Write `depends_on`.',
  script: 'Write `cmd`.',
  run: 'Write `cmd`.',
  command: 'Write `cmd` for a task, `start` for an application.',
  image: 'A task runs in the sandbox of its executor; only generate_template takes an image.',
  when: 'Conditions do not exist; `on: {branches: [...]}` says which branches the plan is for.',
  if: 'Conditions do not exist; `on: {branches: [...]}` says which branches the plan is for.',
};

function unknownKey(part: Part, path: readonly PropertyKey[], key: string): PlanProblem {
  const last = path.at(-1);
  const known = last === undefined ? part.keys : (nestedKeys[String(last)] ?? []);
  const near = nearestName(key, known);
  const hint = Object.hasOwn(hints, key) ? hints[key] : undefined;
  const list = known.length === 0 ? 'Remove it.' : `Its keys are ${known.join(', ')}.`;
  const remedy = near === undefined ? (hint ?? list) : `Did you mean ${quote(near)}?`;
  const pointer = jsonPointer([...part.path, ...path, key]);
  return problem('key-unknown', pointer, `${part.title} has no key ${quote(key)}`, remedy);
}

function isAbsent(value: unknown, path: readonly PropertyKey[]): boolean {
  let at = value;
  for (const part of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return true;
    at = (at as Record<PropertyKey, unknown>)[part];
  }
  return false;
}

// Values are never shown: a misplaced secret would end in logs (I7). The place is enough.
function toProblem(part: Part, raw: unknown, issue: z.core.$ZodIssue): PlanProblem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.slice(0, maxKeys).map((key) => unknownKey(part, issue.path, key));
  }
  const pointer = jsonPointer([...part.path, ...issue.path]);
  const where = issue.path.length === 0 ? part.title : `${part.title}: ${quote(issue.path.join('.'))}`;
  if (issue.code === 'invalid_key') {
    const phrase = issue.issues.map(({ message }) => message).join(' ');
    return [problem('name-invalid', pointer, `${where} is not an allowed name`, `Write ${phrase}.`)];
  }
  if (isAbsent(raw, issue.path))
    return [problem('key-missing', pointer, `${where} is missing`, `Add it: ${issue.message}.`)];
  return [problem('value-invalid', pointer, `${where} is not right`, `Write ${issue.message}.`)];
}

/** What zod found in one part, in our words. */
export function toProblems(part: Part, raw: unknown, error: z.ZodError): readonly PlanProblem[] {
  return error.issues.flatMap((issue) => toProblem(part, raw, issue));
}
