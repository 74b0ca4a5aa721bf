import type { Config } from '../config.ts';
import type { Check } from './doctor/check.ts';
import { examine } from './doctor/examine.ts';

/** `loam doctor`: what was found, what is missing and what to do. Returns the exit code: 0 when nothing needed is missing, 1 otherwise. */
export async function runDoctor(config: Config, { json }: { readonly json: boolean }): Promise<number> {
  const checks = await examine(config);
  const lacking = checks.filter(({ status }) => status === 'missing').length;
  process.stdout.write(
    json ? `${JSON.stringify({ ok: lacking === 0, checks }, undefined, 2)}\n` : describe(checks, lacking),
  );
  return lacking === 0 ? 0 : 1;
}

function describe(checks: readonly Check[], lacking: number): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const indent = ' '.repeat('warning'.length + width + 4);
  const lines = checks.flatMap(({ name, status, found, remedy }) => [
    `${status.padEnd('warning'.length)}  ${name.padEnd(width)}  ${found}`,
    ...(remedy === undefined ? [] : [`${indent}-> ${remedy}`]),
  ]);
  const end =
    lacking === 0
      ? 'Nothing needed is missing.'
      : `${lacking} of these ${lacking === 1 ? 'is' : 'are'} missing; what to do stands beside "->".`;
  return `${lines.join('\n')}\n\n${end}\n`;
}
