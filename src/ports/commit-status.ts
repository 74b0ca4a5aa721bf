import type { ApplicationName, RunId, Sha, TaskName } from '../core/model/ids.ts';
import type { Secret } from './secret.ts';

/** Where an application's forge takes statuses of commits. */
export interface StatusPlace {
  /** Such as https://api.github.com */
  readonly apiUrl: string;
  /** owner/name */
  readonly repository: string;
}

export interface CommitStatus {
  readonly commit: Sha;
  /** What forges tell statuses of one commit apart by. */
  readonly context: string;
  readonly state: 'pending' | 'success' | 'failure' | 'error';
  readonly description: string;
  readonly url: string;
}

export interface StatusSender {
  /** Repeats are fine: the newest of a context counts. Throws `status-unavailable`, `status-refused`. Abort leaves open whether it was taken. */
  send(place: StatusPlace & { readonly token: Secret }, status: CommitStatus, signal: AbortSignal): Promise<void>;
}

/** Of a run, or of one gate of it. */
export interface StatusKey {
  readonly run: RunId;
  readonly gate: TaskName | undefined;
}

/** What is so and was not told yet. */
export interface DueStatus extends StatusKey {
  readonly application: ApplicationName;
  readonly commit: Sha;
  /** Of the run, or of the gate; the store remembers it as told. */
  readonly state: string;
  /** Why the run ended so; who decided the gate. */
  readonly reason: string | undefined;
}

/** The outbox of the statuses: rows of runs and gates say what is so, its own rows what was told. */
export interface StatusStore {
  /** Statuses are told of runs from now on. A new place or token lets all that was refused be told again. */
  connect(application: ApplicationName, place: StatusPlace, token: Secret): Promise<void>;
  disconnect(application: ApplicationName): Promise<void>;
  /** `error`: why the last one was refused. */
  place(application: ApplicationName): Promise<(StatusPlace & { readonly error: string | undefined }) | undefined>;
  token(application: ApplicationName): Promise<Secret | undefined>;
  /** Oldest run first; of several runs of a commit only the newest. Nothing that is claimed or put off. */
  due(limit: number): Promise<readonly DueStatus[]>;
  /** One sender at a time for each key, so that the newest is told last; false when another one has it. Ends by itself. */
  claim(key: StatusKey, forMs: number): Promise<boolean>;
  markTold(due: DueStatus): Promise<void>;
  /** Ends the claim, and lets it be due again after so long; a reason is kept for people to see. */
  putOff(due: DueStatus, forMs: number, error?: string): Promise<void>;
}
