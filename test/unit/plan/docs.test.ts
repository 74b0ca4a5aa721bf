import { readFileSync } from 'node:fs';
import { format } from 'prettier';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { errorKinds } from '../../../src/core/errors.ts';
import { problemKinds } from '../../../src/core/plan/problem-kinds.ts';
import { application, defaults, environment, on, planSchema, tasks } from '../../../src/core/plan/v1/schema.ts';

function read(path: string): string {
  return readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
}

/** Cells of the table rows between two headings. */
function rows(text: string, heading: string): readonly (readonly string[])[] {
  const section = text.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const lines = section.split('\n').filter((line) => line.startsWith('| ') && !/^\| (code|---)/.test(line));
  return lines.map((line) => line.slice(2, -2).split(' | '));
}

describe('docs/errors.md', () => {
  it('lists every code with its status, title, retry and advice', () => {
    const listed = rows(read('docs/errors.md'), 'Codes');

    expect(listed.map((cells) => cells.slice(0, 4))).toEqual(
      Object.entries(errorKinds).map(([code, { status, title, retryable }]) => [
        `<a id="${code}"></a>\`${code}\``,
        String(status),
        title,
        retryable ? 'yes' : 'no',
      ]),
    );
    for (const [code, , , , advice] of listed) expect(`${String(code)} ${String(advice)}`).toMatch(/\.$/);
  });

  it('lists every problem of a plan', () => {
    expect(rows(read('docs/errors.md'), 'Problems of a plan')).toEqual(
      Object.entries(problemKinds).map(([code, [kind, title]]) => [`\`${code}\``, kind, title]),
    );
  });
});

describe('docs/plan-v1.schema.json', () => {
  // `vitest run -u test/unit/plan/docs.test.ts` writes it anew.
  it('is generated from the schema that checks plans', async () => {
    const json = await format(JSON.stringify(z.toJSONSchema(planSchema, { io: 'input' })), {
      parser: 'json',
      printWidth: 120,
    });

    await expect(json).toMatchFileSnapshot(new URL('../../../docs/plan-v1.schema.json', import.meta.url).pathname);
  });
});

describe('docs/plan.md', () => {
  const text = read('docs/plan.md');

  it('explains every key', () => {
    const shapes = [planSchema, application, environment, on, defaults, ...Object.values(tasks)];
    const keys = new Set(shapes.flatMap(({ shape }) => Object.keys(shape)));

    expect([...keys].filter((key) => !text.includes(`\`${key}\``))).toEqual([]);
  });

  it.each(['newcomer', 'original'])('shows the plan %s as the tests have it', (name) => {
    expect(text).toContain(read(`test/fixtures/plans/${name}.yaml`));
  });
});
