import { describe, expect, it } from 'vitest';
import { checkPlan } from '../../../src/core/plan/check-plan.ts';
import { problemKinds } from '../../../src/core/plan/problem-kinds.ts';
import { graphCases } from './graph-cases.ts';
import { schemaCases } from './schema-cases.ts';
import { yamlCases } from './yaml-cases.ts';

const cases = [...yamlCases, ...schemaCases, ...graphCases];

describe('problems', () => {
  it.each(cases)('finds $code at $at', ({ code, text, at, remedy }) => {
    const { compiled, errors, warnings } = checkPlan(text);
    const kind = problemKinds[code as keyof typeof problemKinds][0];
    const found = (kind === 'error' ? errors : warnings).filter((one) => one.code === code);

    expect(found.map(({ line, column }) => `${String(line)}:${String(column)}`)).toContain(at);
    expect(found.map((one) => one.remedy).join(' ')).toContain(remedy);
    if (kind === 'error') expect(compiled).toBeUndefined();
    else expect(errors).toEqual([]);
  });

  it('has a case for every kind', () => {
    expect([...new Set(cases.map(({ code }) => code))].sort()).toEqual(Object.keys(problemKinds).sort());
  });
});
