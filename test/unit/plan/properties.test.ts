import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { dump } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import type { Problem } from '../../../src/core/errors.ts';
import { checkPlan, maxProblems } from '../../../src/core/plan/check-plan.ts';
import type { PlanCheck } from '../../../src/core/plan/plan.ts';
import { problemKinds } from '../../../src/core/plan/problem-kinds.ts';
import { hostilePiece, planValue } from './sample-plan.ts';

const fixtures = ['newcomer', 'original', 'original-2014'].map((name) =>
  readFileSync(new URL(`../../fixtures/plans/${name}.yaml`, import.meta.url), 'utf8'),
);

const codes = new Set<string>(Object.keys(problemKinds));

function isPlaced({ line = 0, column = 0 }: Problem, lines: number): boolean {
  return line >= 1 && line <= lines && column >= 1;
}

function isTold({ code = '', message, remedy = '' }: Problem): boolean {
  return codes.has(code) && message.length > 0 && message.length < 600 && remedy.length > 5;
}

/** What is wrong with a check; one expectation per text, since thousands of them take longer than the checks. */
function faults(check: PlanCheck, text: string): readonly string[] {
  const lines = text.split(/\r\n|\r|\n/).length;
  const all = [...check.errors, ...check.warnings];
  const found = all.filter((one) => !isPlaced(one, lines) || !isTold(one)).map((one) => JSON.stringify(one));
  if (all.length > 2 * maxProblems) found.push('too many');
  if ((check.compiled === undefined) !== check.errors.length > 0) found.push('compiled with errors, or not without');
  return found;
}

function expectSound(check: PlanCheck, text: string): void {
  expect(faults(check, text)).toEqual([]);
}

function expectCompiled({ compiled }: PlanCheck): void {
  const seen = new Set<string>();
  for (const task of compiled?.graph.tasks ?? []) {
    for (const need of task.needs) expect(seen).toContain(need);
    seen.add(task.name);
  }
}

describe('checkPlan, whatever the text', () => {
  it('answers any text with problems that have a place', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.array(fc.oneof(hostilePiece, fc.string())).map((all) => all.join('')),
        ),
        (text) => {
          expectSound(checkPlan(text), text);
        },
      ),
      { numRuns: 3000 },
    );
  }, 60_000);

  it('survives 10,000 mutations of real plans', () => {
    const cut = fc.record({
      at: fc.nat(1200),
      drop: fc.nat(12),
      put: fc.oneof(hostilePiece, fc.string({ maxLength: 4 })),
    });
    fc.assert(
      fc.property(fc.constantFrom(...fixtures), fc.array(cut, { minLength: 1, maxLength: 4 }), (plan, cuts) => {
        const text = cuts.reduce((all, { at, drop, put }) => all.slice(0, at) + put + all.slice(at + drop), plan);

        const check = checkPlan(text);

        expectSound(check, text);
        expectCompiled(check);
      }),
      { numRuns: 10_000 },
    );
  }, 60_000);

  it('answers any plan-shaped value, and the same each time', () => {
    fc.assert(
      fc.property(planValue, (value) => {
        const text = dump(value);

        const check = checkPlan(text);

        expectSound(check, text);
        expectCompiled(check);
        expect(checkPlan(text)).toEqual(check);
      }),
      { numRuns: 500 },
    );
  }, 60_000);
});
