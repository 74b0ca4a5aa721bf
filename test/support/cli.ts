import path from 'node:path';
import { runCli } from '../../src/cli/cli.ts';
import type { CliContext } from '../../src/cli/context.ts';
import { checkPlan } from '../../src/core/plan/check-plan.ts';
import type { Role } from '../../src/core/model/access.ts';
import type { TestApi } from './api.ts';

export interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Options extends Partial<CliContext> {
  readonly role?: Role;
  readonly text?: string;
  readonly onWrite?: (text: string) => void;
}

export async function runLoam(
  test: TestApi,
  line: string | readonly string[],
  { role = 'admin', text = '', onWrite, ...change }: Options = {},
): Promise<Result> {
  let out = '';
  let err = '';
  const code = await runCli({
    args: typeof line === 'string' ? line.split(' ') : line,
    folder: test.folder,
    write: (one) => {
      out += one;
      onWrite?.(one);
    },
    writeError: (one) => {
      err += one;
    },
    input: (async function* () {
      yield await Promise.resolve(new TextEncoder().encode(text));
    })(),
    isInputTerminal: false,
    hasColors: false,
    version: '0.0.0',
    apiUrl: test.server.url,
    readToken: () => test.token(role),
    dataFolder: path.join(test.folder, '.loam'),
    checkPlan: (plan) => Promise.resolve(checkPlan(plan)),
    local: [],
    signal: new AbortController().signal,
    ...change,
  });
  return { code, out, err };
}

export function json(result: Result): Record<string, unknown> {
  return JSON.parse(result.out) as Record<string, unknown>;
}
