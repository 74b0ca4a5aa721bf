/**
 * The catalogue of error codes. A code is wire format: it travels in problem+json, in Temporal failures (`type`) and on the command line.
 * Add a new code and retire the old one; never rename in place. docs/errors.md lists them, and a test holds both to each other.
 */
export interface ErrorKind {
  /** HTTP status of the API's answer. */
  readonly status: number;
  readonly title: string;
  /** May the same call succeed later without anybody changing anything? Temporal retries only these. */
  readonly retryable: boolean;
}

function kind(status: number, title: string, retryable = false): ErrorKind {
  return { status, title, retryable };
}

export const errorKinds = {
  'application-exists': kind(409, 'The application exists already'),
  'application-unknown': kind(404, 'No such application'),
  'approval-required': kind(403, 'The environment asks for an approval that this run does not have'),
  'artifact-invalid': kind(422, 'The artifact cannot be used'),
  'attempt-held': kind(409, 'Another machine still holds the attempt', true),
  'blob-missing': kind(500, 'A stored blob is missing'),
  'build-failed': kind(422, 'The image could not be built'),
  'commit-missing': kind(422, 'The commit is not in the repository'),
  'configuration-invalid': kind(500, 'The configuration is invalid'),
  'delivery-unknown': kind(404, 'No such delivery'),
  'deploy-refused': kind(422, 'The deploy cannot be done here'),
  'deploy-unhealthy': kind(422, 'The new release did not become healthy'),
  'engine-unavailable': kind(503, 'The container engine is not available', true),
  'environment-unknown': kind(404, 'No such environment'),
  'environment-unregistered': kind(422, 'The environment is not registered'),
  'executor-unavailable': kind(503, 'The executor is not available', true),
  'fence-stale': kind(409, 'Another deploy holds the environment'),
  forbidden: kind(403, 'The role does not allow this'),
  'gate-closed': kind(409, 'The gate is not open'),
  'gate-expired': kind(409, 'The gate expired'),
  'gate-unknown': kind(404, 'No such gate'),
  'git-unavailable': kind(503, 'The repository cannot be reached', true),
  'health-timeout': kind(504, 'The application did not answer its health check in time'),
  'host-lost': kind(503, 'The host of the sandbox is gone', true),
  'image-missing': kind(422, 'The image of the job is not here'),
  'image-unusable': kind(422, 'The image cannot run jobs'),
  'input-invalid': kind(422, 'The request is not valid'),
  'input-too-large': kind(413, 'The input is too large'),
  internal: kind(500, 'Something went wrong inside Loam'),
  'job-lost': kind(503, 'The sandbox of the job is gone'),
  'job-out-of-memory': kind(422, 'The job used more memory than it may'),
  'job-timed-out': kind(422, 'The job took longer than its timeout'),
  'lock-unavailable': kind(503, 'The lock of the environment cannot be reached', true),
  'log-gone': kind(410, 'The log is no longer stored'),
  'not-found': kind(404, 'Not found'),
  'output-limit': kind(422, 'The job wrote more output than it may'),
  'output-missing': kind(422, 'A task output that this task needs does not exist'),
  'output-too-large': kind(422, 'A task output is too large'),
  'payload-too-large': kind(500, 'A message between workflow and activity is too large'),
  'plan-invalid': kind(422, 'The plan is not valid'),
  'plan-missing': kind(422, 'The commit has no loam.yaml'),
  'rate-limited': kind(429, 'Too many requests', true),
  rejected: kind(409, 'A person rejected the gate'),
  'release-unknown': kind(404, 'No such release'),
  'run-ended': kind(409, 'The run has ended already'),
  'run-not-ended': kind(409, 'The run has not ended yet'),
  'run-unknown': kind(404, 'No such run'),
  'secret-missing': kind(422, 'A secret that this needs does not exist'),
  'signature-invalid': kind(401, 'The signature does not fit the body'),
  'spool-unavailable': kind(503, 'The relay cannot keep the delivery', true),
  'status-refused': kind(422, 'The forge refuses the status of a commit'),
  'status-unavailable': kind(503, 'The forge does not take the status of a commit', true),
  'store-unavailable': kind(503, 'The database is not available', true),
  'task-failed': kind(422, 'A task of the run failed'),
  'task-unknown': kind(404, 'No such task'),
  'template-invalid': kind(422, 'The template is not valid'),
  'temporal-unavailable': kind(503, 'Temporal is not available', true),
  'trigger-unknown': kind(404, 'No such trigger'),
  'trust-expired': kind(409, 'The trust has expired'),
  'trust-failed': kind(503, 'The trust provider gave no token', true),
  'trust-revoked': kind(409, 'The trust was revoked'),
  'trust-role-lost': kind(409, 'The trust has lost a role that it was given'),
  'trust-unknown': kind(404, 'No such trust'),
  'trustor-disabled': kind(409, 'The account that gave the trust is disabled'),
  unauthenticated: kind(401, 'A valid token is missing'),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorKinds;

/** One problem of an input, with its place. */
export interface Problem {
  /** JSON pointer into the input, such as `/workflow/test/cmd`; empty for the whole. */
  readonly pointer: string;
  readonly message: string;
  /** What to do about it. */
  readonly remedy?: string;
  /** A kebab-case code of the check that failed. */
  readonly code?: string;
  /** Line and column, both from 1, where the input is text. */
  readonly line?: number;
  readonly column?: number;
}

export interface DomainErrorOptions {
  readonly details?: Readonly<Record<string, unknown>>;
  readonly problems?: readonly Problem[];
  readonly cause?: unknown;
}

/** The one error class of our code. Branch on `code`, never on the message. */
export class DomainError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  readonly problems: readonly Problem[];

  constructor(code: ErrorCode, message: string, options: DomainErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DomainError';
    this.code = code;
    this.details = options.details ?? {};
    this.problems = options.problems ?? [];
  }
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorKinds, text);
}
