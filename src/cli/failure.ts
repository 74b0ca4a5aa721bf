import type { Problem } from '../core/errors.ts';

/** Part of the command line's contract: scripts branch on them. */
export const exitCodes = {
  ok: 0,
  /** The command was refused, or what it waited for has failed. */
  failed: 1,
  usage: 2,
  /** Loam does not answer, or is not ready. */
  unreachable: 3,
  notFound: 4,
  /** No valid token, or a role that does not allow it. */
  forbidden: 5,
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** What failed, then what to do. */
export class CliFailure extends Error {
  readonly exitCode: ExitCode;
  readonly code: string;
  readonly remedy: string | undefined;
  readonly problems: readonly Problem[];

  constructor(
    exitCode: ExitCode,
    message: string,
    options: { readonly code?: string; readonly remedy?: string; readonly problems?: readonly Problem[] } = {},
  ) {
    super(message);
    this.exitCode = exitCode;
    this.code = options.code ?? 'usage';
    this.remedy = options.remedy;
    this.problems = options.problems ?? [];
  }
}

export function usage(message: string, remedy?: string): CliFailure {
  return new CliFailure(exitCodes.usage, message, { code: 'usage', ...(remedy !== undefined && { remedy }) });
}
