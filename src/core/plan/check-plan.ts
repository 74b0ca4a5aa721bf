// I10: every plan, however hostile, ends as a PlanCheck: bounded, with all its problems at once, each with its place and what to do.
import type { Problem } from '../errors.ts';
import { compileGraph } from '../graph/compile.ts';
import type { CompiledPlan, PlanCheck } from './plan.ts';
import { isWarning, problem } from './problem-kinds.ts';
import type { PlanProblem, ProblemCode } from './problem-kinds.ts';
import type { Node, PlacedProblem } from './sieve.ts';
import { TextLines } from './text-lines.ts';
import { isMapping } from './v1/reader.ts';
import { readPlan } from './v1/read-plan.ts';
import { readYaml, utf8Bytes } from './yaml.ts';

/** More at once help nobody. */
export const maxProblems = 100;
/** The graph is part of the run's history; Temporal takes 256 kB in one piece. */
export const maxGraphBytes = 200 * 1024;

/** These leave another value in the place of the written one: what else is wrong with it is not the writer's doing. */
const replacingCodes: ReadonlySet<ProblemCode> = new Set(['yaml-alias', 'yaml-depth', 'yaml-tag', 'text-invalid']);

interface Checked {
  readonly compiled: CompiledPlan | undefined;
  readonly problems: readonly PlacedProblem[];
}

const keyCodes: ReadonlySet<ProblemCode> = new Set([
  'key-unknown',
  'name-reserved',
  'name-invalid',
  'setting-near-key',
]);
const valueCodes: ReadonlySet<ProblemCode> = new Set(['value-invalid', 'type-unknown']);

/** The node itself, or the nearest part that has one: a missing key has no place of its own. The whole plan always has one. */
function nearestNode(nodes: ReadonlyMap<string, Node>, pointer: string): Node {
  return nodes.get(pointer) ?? nearestNode(nodes, pointer.slice(0, pointer.lastIndexOf('/')));
}

/** Names are shown at the key, wrong values at the value; what is said of a whole part, at its name. */
function offsetOf(nodes: ReadonlyMap<string, Node>, { code, pointer }: PlanProblem): number {
  const { offset, keyOffset, text } = nearestNode(nodes, pointer);
  const isOfPart = text === undefined && !valueCodes.has(code);
  return isOfPart || keyCodes.has(code) ? (keyOffset ?? offset) : offset;
}

function isUnder(pointer: string, refused: ReadonlySet<string>): boolean {
  for (let at = pointer; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) {
    if (refused.has(at)) return true;
  }
  return false;
}

function compile(reading: ReturnType<typeof readPlan>): {
  readonly compiled: CompiledPlan;
  readonly problems: readonly PlanProblem[];
} {
  const { draft, onBranches } = reading;
  const { graph, problems } = compileGraph(draft);
  const { applications, environments } = draft;
  const compiled: CompiledPlan = { version: 1, graph, applications, environments, onBranches };
  const bytes = utf8Bytes(JSON.stringify(graph));
  const isRight = [...reading.problems, ...problems].every(isWarning);
  if (bytes <= maxGraphBytes || !isRight) return { compiled, problems };
  const message = `The compiled tasks take ${Math.ceil(bytes / 1024)} kB, over 200 kB`;
  const remedy = 'Move long commands into files of the repository, and variables into `config`.';
  return { compiled, problems: [...problems, problem('graph-too-large', '/workflow', message, remedy)] };
}

function check(text: string): Checked {
  const { value, nodes, problems } = readYaml(text);
  if (value === undefined && problems.length > 0) return { compiled: undefined, problems };
  if (!isMapping(value)) {
    const isEmpty = value === undefined || value === null;
    const message = isEmpty ? 'The plan is empty' : 'The plan is not a mapping of sections';
    const remedy = 'Start with `version: 1` and a `workflow`; docs/plan.md has an example.';
    const found = problem(isEmpty ? 'plan-empty' : 'value-invalid', '', message, remedy);
    return { compiled: undefined, problems: [...problems, { problem: found, offset: 0 }] };
  }
  const reading = readPlan(value, nodes);
  const { compiled, problems: compileProblems } = compile(reading);
  const replaced = problems.filter(({ problem: { code } }) => replacingCodes.has(code));
  const refused = new Set(replaced.map(({ problem: { pointer } }) => pointer));
  const placed = [...reading.problems, ...compileProblems]
    .filter(({ pointer }) => !isUnder(pointer, refused)) // said already, and the value is not the written one
    .map((one) => ({ problem: one, offset: offsetOf(nodes, one) }));
  return { compiled, problems: [...problems, ...placed] };
}

function limit(problems: readonly Problem[]): readonly Problem[] {
  if (problems.length <= maxProblems) return problems;
  const [next, ...others] = problems.slice(maxProblems - 1);
  const more = problem('too-many-problems', '', `There are ${others.length + 1} more problems`, 'Solve these first.');
  return [...problems.slice(0, maxProblems - 1), { ...next, ...more }];
}

/** Checks and compiles a plan. Never throws. */
export function checkPlan(text: string): PlanCheck {
  const source = text.startsWith('\uFEFF') ? text.slice(1) : text; // a byte order mark would count as a column
  const { compiled, problems } = check(source);
  const lines = new TextLines(source);
  const sorted = problems.toSorted((one, other) => one.offset - other.offset);
  const placed = sorted.map(({ problem: found, offset }) => ({ found, problem: { ...found, ...lines.at(offset) } }));
  const errors = limit(placed.filter(({ found }) => !isWarning(found)).map((one) => one.problem));
  const warnings = limit(placed.filter(({ found }) => isWarning(found)).map((one) => one.problem));
  return { compiled: errors.length === 0 ? compiled : undefined, errors, warnings };
}
