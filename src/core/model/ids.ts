import { DomainError } from '../errors.ts';

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** Lower case, digits and hyphens, 1 to 40 characters, begins with a letter: it is part of workflow ids, file names and host names. */
export type ApplicationName = Branded<'ApplicationName'>;
/** As `ApplicationName`. */
export type EnvironmentName = Branded<'EnvironmentName'>;
/** Letters, digits, hyphens and underscores, 1 to 60 characters, begins with a letter. */
export type TaskName = Branded<'TaskName'>;
/** `thingy/12`, and `thingy/12/2` for its second round (a retry). */
export type RunId = Branded<'RunId'>;
/** 40 hexadecimal digits in lower case: a full commit id, never a prefix. */
export type Sha = Branded<'Sha'>;
/** `sha256:` and 64 hexadecimal digits in lower case. */
export type Digest = Branded<'Digest'>;

const namePattern = /^[a-z][a-z0-9-]{0,39}$/;
const taskPattern = /^[A-Za-z][A-Za-z0-9_-]{0,59}$/;
const shaPattern = /^[0-9a-f]{40}$/;
const digestPattern = /^sha256:[0-9a-f]{64}$/;

export function isApplicationName(text: string): text is ApplicationName {
  return namePattern.test(text);
}

export function isEnvironmentName(text: string): text is EnvironmentName {
  return namePattern.test(text);
}

export function isTaskName(text: string): text is TaskName {
  return taskPattern.test(text);
}

export function isSha(text: string): text is Sha {
  return shaPattern.test(text);
}

export function isDigest(text: string): text is Digest {
  return digestPattern.test(text);
}

function parse<T extends string>(text: string, is: (value: string) => value is T, what: string, rule: string): T {
  if (is(text)) return text;
  throw new DomainError('input-invalid', `"${text.slice(0, 80)}" is not ${what}: ${rule}`);
}

const nameRule = 'lower-case letters, digits and hyphens, at most 40, beginning with a letter';

export function parseApplicationName(text: string): ApplicationName {
  return parse(text, isApplicationName, 'the name of an application', nameRule);
}

export function parseEnvironmentName(text: string): EnvironmentName {
  return parse(text, isEnvironmentName, 'the name of an environment', nameRule);
}

export function parseTaskName(text: string): TaskName {
  return parse(
    text,
    isTaskName,
    'the name of a task',
    'letters, digits, hyphens and underscores, at most 60, beginning with a letter',
  );
}

export function parseSha(text: string): Sha {
  return parse(text, isSha, 'a commit id', '40 hexadecimal digits in lower case');
}

export function parseDigest(text: string): Digest {
  return parse(text, isDigest, 'a digest', 'sha256: and 64 hexadecimal digits');
}

export interface RunReference {
  readonly application: ApplicationName;
  /** From 1, counted per application, never reused. */
  readonly number: number;
  /** 1 for the run itself, 2 and more for its retries. */
  readonly round: number;
}

export function formatRunId({ application, number, round }: RunReference): RunId {
  const text = round === 1 ? `${application}/${String(number)}` : `${application}/${String(number)}/${String(round)}`;
  return text as RunId;
}

const runPattern = /^([a-z][a-z0-9-]{0,39})\/([1-9][0-9]{0,9})(?:\/([1-9][0-9]{0,4}))?$/;

export function parseRunId(text: string): RunReference {
  const match = runPattern.exec(text);
  const [, application, number, round] = match ?? [];
  if (application === undefined || number === undefined || round === '1') {
    throw new DomainError(
      'input-invalid',
      `"${text.slice(0, 80)}" is not a run: write it as application/number, such as thingy/12`,
    );
  }
  return {
    application: application as ApplicationName,
    number: Number(number),
    round: round === undefined ? 1 : Number(round),
  };
}

/** The id of a run's workflow; speaking, since Temporal's list of workflows shows little else. */
export function runWorkflowId(run: RunId): string {
  return `run/${run}`;
}

export function environmentWorkflowId(application: ApplicationName, environment: EnvironmentName): string {
  return `environment/${application}/${environment}`;
}

/** Who holds the lock of an environment (I3): one task attempt of one run. */
export function lockHolder(run: RunId, task: TaskName, attempt: number): string {
  return `${runWorkflowId(run)}/${task}#${String(attempt)}`;
}

/** The workflow id inside a lock holder. */
export function holderWorkflowId(holder: string): string {
  return holder.slice(0, holder.lastIndexOf('/'));
}
