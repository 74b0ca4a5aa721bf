import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../src/core/errors.ts';
import { parseDigest } from '../../../src/core/model/ids.ts';
import { checkPlan } from '../../../src/core/plan/check-plan.ts';
import { parseTemplate } from '../../../src/core/plan/parse-template.ts';
import type { CompiledPlan, PlanApplication } from '../../../src/core/plan/plan.ts';
import { canonicalJson } from '../../../src/core/template/canonical-json.ts';
import { generateTemplate } from '../../../src/core/template/generate-template.ts';

const digest = parseDigest(`sha256:${'0123456789abcdef'.repeat(4)}`);

function planOf(name: string): CompiledPlan {
  const { compiled } = checkPlan(readFileSync(new URL(`../../fixtures/plans/${name}.yaml`, import.meta.url), 'utf8'));
  if (compiled === undefined) throw new Error(`${name} does not compile`);
  return compiled;
}

function applicationOf(plan: CompiledPlan): PlanApplication {
  const [application] = plan.applications;
  if (application === undefined) throw new Error('no application');
  return application;
}

function golden(name: string): string {
  return new URL(`../../fixtures/templates/${name}.json`, import.meta.url).pathname;
}

describe('generateTemplate', () => {
  it('makes of the newcomer’s plan the template of the golden file', async () => {
    const application = applicationOf(planOf('newcomer'));

    const template = generateTemplate({ application, environment: undefined, image: digest });

    await expect(`${canonicalJson(template)}\n`).toMatchFileSnapshot(golden('newcomer'));
    expect(parseTemplate(canonicalJson(template))).toEqual(template);
  });

  it('makes of the plan of 2014 a template for one environment, without an image', async () => {
    const plan = planOf('original');

    const template = generateTemplate({
      application: applicationOf(plan),
      environment: plan.environments[0],
      image: undefined,
    });

    await expect(`${canonicalJson(template)}\n`).toMatchFileSnapshot(golden('original-production'));
    expect(parseTemplate(canonicalJson(template))).toEqual(template);
  });

  it('keeps secrets as names (I7)', () => {
    const application = { ...applicationOf(planOf('newcomer')), config: { KEY: { secret: 'key' } } };

    const template = generateTemplate({ application, environment: undefined, image: digest });

    expect(parseTemplate(canonicalJson(template)).config).toEqual({ KEY: { secret: 'key' } });
  });
});

describe('canonicalJson', () => {
  it('writes equal values the same way, whatever the order of their keys', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const shuffled = Object.fromEntries(Object.entries(value).reverse());

        expect(canonicalJson(shuffled)).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('sorts keys at every depth and leaves absent values out', () => {
    expect(canonicalJson({ b: [{ d: 1, c: null }], a: undefined, B: { z: '€', y: [] } })).toBe(
      '{"B":{"y":[],"z":"€"},"b":[{"c":null,"d":1}]}',
    );
  });
});

describe('parseTemplate', () => {
  const valid = canonicalJson(
    generateTemplate({ application: applicationOf(planOf('newcomer')), environment: undefined, image: digest }),
  );

  function refusal(text: string): DomainError {
    try {
      parseTemplate(text);
    } catch (error) {
      if (error instanceof DomainError) return error;
    }
    throw new Error('accepted');
  }

  it.each([
    ['no JSON', '{', undefined],
    ['too much', `"${'x'.repeat(600_000)}"`, undefined],
    ['another version', valid.replace('"version":1', '"version":2'), '/version'],
    ['an unknown key', valid.replace('"version":1', '"version":1,"shell":"rm"'), ''],
    ['a health address elsewhere', valid.replace('"/health"', '"http://169.254.169.254/"'), '/health'],
    ['a digest that is none', valid.replace('sha256:', 'md5:'), '/image'],
    ['a path as a name', valid.replace('"thingy"', '"../../etc"'), '/application'],
    ['a variable that is none', valid.replace('GREETING', 'GREE=TING'), '/config/GREE=TING'],
  ])('refuses %s', (_, text, pointer) => {
    const error = refusal(text);

    expect(error.code).toBe('template-invalid');
    expect(error.problems.map((one) => one.pointer)).toEqual(pointer === undefined ? [] : [pointer]);
  });

  it('never fails but with template-invalid', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(refusal(text).code).toBe('template-invalid');
      }),
    );
  });
});
