import type { Problem } from '../errors.ts';

/**
 * What can be wrong or doubtful in a plan. The codes travel in API answers and on the command line: add new ones, never rename. docs/errors.md lists them, and a test
 * holds both to each other.
 */
export const problemKinds = {
  'application-missing': ['error', 'The task does not say which application it means'],
  'application-unknown': ['error', 'The plan has no such application'],
  'build-env-unused': ['warning', 'Variables do not reach the steps of an image'],
  'build-key-unfit': ['error', 'The key does not fit what is built'],
  'build-mixed': ['error', 'One build would have to make an archive and an image'],
  cycle: ['error', 'Tasks wait for each other in a circle'],
  'environment-unknown': ['error', 'The plan has no such environment'],
  'gate-covers-nothing': ['warning', 'No deploy comes after this approval'],
  'gate-unbound': ['error', 'The approval would not know what it approves'],
  'graph-too-large': ['error', 'The compiled plan is too large'],
  'image-missing': ['error', 'The deploy has no build to run'],
  'key-missing': ['error', 'A key is missing'],
  'key-reserved': ['error', 'This key is refused'],
  'key-unknown': ['error', 'No such key'],
  'literal-secret': ['warning', 'A secret stands in the plan'],
  'lock-nested': ['error', 'A deploy happens while another environment is locked'],
  'name-invalid': ['error', 'The name is not allowed'],
  'name-reserved': ['error', 'This variable is set by Loam or is unsafe'],
  'output-kind': ['error', 'The output does not fit here'],
  'output-unknown': ['error', 'The task has no such output'],
  'plan-empty': ['error', 'The plan is empty'],
  'plan-too-large': ['error', 'The plan is too large'],
  'quotes-typographic': ['warning', 'The command stands in typographic quotes'],
  'reader-behind-gate': ['warning', 'The lock is not held for a task that comes after an approval'],
  'self-need': ['error', 'The task waits for itself'],
  'services-as-text': ['warning', 'Services are written as one text'],
  'setting-near-key': ['warning', 'The setting looks like a misspelt key'],
  'start-missing': ['error', 'The application does not say how it is started'],
  'task-unknown': ['error', 'The plan has no such task'],
  'template-environment': ['error', 'The template was made for another environment'],
  'text-invalid': ['error', 'The text holds a character that is not allowed'],
  'too-many': ['error', 'There are too many of these'],
  'too-many-problems': ['error', 'There are more problems than are shown'],
  'type-unknown': ['error', 'No such type of task'],
  'unbuilt-deploy': ['warning', 'The deploy does not wait for the build of its application'],
  'value-invalid': ['error', 'The value is not right'],
  'version-absent': ['warning', 'The plan does not say its version'],
  'version-unsupported': ['error', 'This version of the plan is not known'],
  'yaml-alias': ['error', 'Aliases are not allowed'],
  'yaml-depth': ['error', 'The plan is nested too deep'],
  'yaml-documents': ['error', 'There is more than one document'],
  'yaml-duplicate-key': ['error', 'The key is there twice'],
  'yaml-key': ['error', 'The key is not a text'],
  'yaml-syntax': ['error', 'This is not YAML'],
  'yaml-tag': ['error', 'Tags are not allowed'],
} as const satisfies Record<string, readonly ['error' | 'warning', string]>;

export type ProblemCode = keyof typeof problemKinds;

/** A problem of a plan: always with code and remedy. Line and column are added at the end, from the pointer. */
export interface PlanProblem extends Problem {
  readonly code: ProblemCode;
  readonly remedy: string;
}

export function problem(code: ProblemCode, pointer: string, message: string, remedy: string): PlanProblem {
  return { code, pointer, message, remedy };
}

export function isWarning({ code }: PlanProblem): boolean {
  return problemKinds[code][0] === 'warning';
}
