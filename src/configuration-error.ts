import type { z } from 'zod';

export interface ConfigurationProblem {
  readonly variable: string;
  readonly message: string;
}

/** Every problem of the configuration at once, in one message for a person. Never holds a value. */
export class ConfigurationError extends Error {
  readonly problems: readonly ConfigurationProblem[];

  constructor(problems: readonly ConfigurationProblem[]) {
    const lines = problems.map(({ variable, message }) => `  ${variable}: ${message}`);
    super(['The configuration is invalid:', ...lines, 'docs/configuration.md lists all variables.'].join('\n'));
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}

export function toProblems(issue: z.core.$ZodIssue): ConfigurationProblem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((variable) => ({
      variable,
      message: 'is not a variable of Loam; remove it or correct its name',
    }));
  }
  return [{ variable: issue.path.join('.'), message: issue.message }];
}
