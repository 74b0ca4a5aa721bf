import { z } from 'zod';
import { DomainError } from '../../../core/errors.ts';
import type { ErrorCode } from '../../../core/errors.ts';
import type { Logger } from '../../../ports/logger.ts';
import { Secret } from '../../../ports/secret.ts';
import type { DrawnToken, TrustProvider } from '../../../ports/trust-provider.ts';
import { checkSettings, instant, readSettings } from '../settings/trust-settings.ts';
import { maskText } from './mask-text.ts';
import { runTokenProgram } from './run-token-program.ts';
import type { TokenProgramEnd } from './run-token-program.ts';

export interface ExecTrustProviderOptions {
  readonly logger: Logger;
  /** Where programs without a slash in their name are looked for, as PATH. */
  readonly searchPath?: string;
}

const noZeroByte = z.string().refine((text) => !text.includes('\0'), 'must not hold a zero byte');

/** The settings of a trust with the provider `exec`. None of them may be a secret: they are shown and stored in clear. */
export const ExecTrustSettings = z.strictObject({
  /** The program and its arguments. */
  command: z
    .tuple([noZeroByte.min(1)], noZeroByte)
    .refine((command) => command.length <= 100, 'has more than 100 parts'),
  timeoutMs: z.int().min(100).max(300_000).default(30_000),
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), noZeroByte).default({}),
  /** When the delegation itself ends. */
  endsAt: instant.optional(),
});
export type ExecTrustSettings = z.infer<typeof ExecTrustSettings>;

/**
 * What the program prints, like an exec credential of kubectl: `{"token": "...", "expires_at": "2025-01-31T10:00:00Z"}`, or `expires_in` in seconds. More keys
 * are ignored.
 */
const Printed = z.union([
  z.object({ token: z.string().min(1).max(32_768), expires_at: z.iso.datetime({ offset: true }) }),
  z.object({
    token: z.string().min(1).max(32_768),
    expires_in: z
      .number()
      .positive()
      .max(366 * 86_400),
  }),
]);

/** Exit codes that say: a person must act. Every other code but 0 means: try again later. */
const finalExitCodes: Readonly<Record<number, ErrorCode>> = {
  77: 'trust-revoked',
  78: 'trust-expired',
  79: 'trustor-disabled',
  80: 'trust-role-lost',
};

/** Draws tokens by running a program: exit code 0 and a token, 77 when the trust was revoked, 78 when it has expired, 79 when its trustor is disabled, 80 when a role is lost. */
export function createExecTrustProvider(options: ExecTrustProviderOptions): TrustProvider {
  const searchPath = options.searchPath ?? '/usr/local/bin:/usr/bin:/bin';
  return {
    kind: 'exec',
    checkRegistration: ({ settings }) => checkSettings(ExecTrustSettings, settings),
    async draw(settings, signal): Promise<DrawnToken> {
      const { command, timeoutMs, env } = readSettings(ExecTrustSettings, settings);
      const startedMs = Date.now();
      const end = await runTokenProgram({ command, timeoutMs, signal, env: { PATH: searchPath, ...env } });
      const drawn = readToken(end, command[0], startedMs);
      options.logger.debug({ program: command[0], tookMs: Date.now() - startedMs }, 'a token was drawn');
      return drawn;
    },
    endsAtMs: (settings) => {
      const { endsAt } = readSettings(ExecTrustSettings, settings);
      return endsAt === undefined ? undefined : Date.parse(endsAt);
    },
  };
}

function readToken(end: TokenProgramEnd, program: string, startedMs: number): DrawnToken {
  if (end.type === 'failed') throw failure('trust-failed', program, end.reason, end.errors, []);
  const printed = Printed.safeParse(parseJson(end.output));
  const known = printed.success ? [printed.data.token] : [];
  if (end.exitCode !== 0) {
    const code = finalExitCodes[end.exitCode] ?? 'trust-failed';
    throw failure(code, program, `it ended with exit code ${end.exitCode}`, end.errors, known);
  }
  if (!printed.success) {
    const reason = 'it did not print {"token": ..., "expires_at": ...} or {"token": ..., "expires_in": ...} as JSON';
    throw failure('trust-failed', program, reason, end.errors, known);
  }
  const expiresAtMs = expiryOf(printed.data, startedMs);
  if (expiresAtMs <= Date.now())
    throw failure('trust-failed', program, 'its token has expired already', end.errors, known);
  return { token: new Secret(printed.data.token), expiresAtMs };
}

/** Seconds are counted from the start of the program: too early is safe, too late is not. */
function expiryOf(printed: z.infer<typeof Printed>, startedMs: number): number {
  return 'expires_at' in printed ? Date.parse(printed.expires_at) : startedMs + Math.floor(printed.expires_in * 1000);
}

function failure(
  code: ErrorCode,
  program: string,
  reason: string,
  errors: string,
  known: readonly string[],
): DomainError {
  const shown = maskText(errors, known);
  return new DomainError(
    code,
    `the token program ${program} gave no token: ${reason}${shown === '' ? '' : `; it wrote: ${shown}`}`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the parser's message would quote the output
  }
}
