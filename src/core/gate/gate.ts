import type { Digest, EnvironmentName, RunId, TaskName } from '../model/ids.ts';

export type Verdict = 'approved' | 'rejected';

/** What a decision is bound to (I4): for each deploy that the gate covers, the digests of its template and artifact. */
export interface GateSubject {
  readonly task: TaskName;
  readonly template: Digest;
  readonly image: Digest | undefined;
}

/** What a person sees before deciding. Foreign text (commit messages, authors) inside. */
export interface GatePreview {
  readonly application: string;
  /** Number of the live release, undefined when the environment is empty. */
  readonly fromRelease: number | undefined;
  readonly fromCommit: string | undefined;
  readonly toCommit: string;
  readonly commits: readonly { readonly sha: string; readonly subject: string; readonly author: string }[];
  /** True when there are more commits than the list shows. */
  readonly moreCommits: boolean;
  /** Names of config keys; values may be private. */
  readonly configAdded: readonly string[];
  readonly configRemoved: readonly string[];
  readonly configChanged: readonly string[];
  readonly digest: string | undefined;
  /** Only of a gate that waits for a trust: a person answers it by reconnecting that trust, not by a verdict. */
  readonly reconnect?: Reconnect;
}

/** Why a deploy waits for its trust. */
export interface Reconnect {
  readonly trust: string;
  readonly task: TaskName;
  readonly attempt: number;
  readonly reason: string;
}

export interface Gate {
  readonly run: RunId;
  /** The approval task, or `reconnectGate(environment)`. */
  readonly gate: TaskName;
  /** From 1; a gate that is asked again (another round, other digests) opens anew. */
  readonly opening: number;
  readonly environment: EnvironmentName;
  readonly subjects: readonly GateSubject[];
  readonly preview: GatePreview;
  readonly openedAtMs: number;
  readonly deadlineAtMs: number;
  readonly status: 'open' | 'decided' | 'expired' | 'cancelled';
}

export interface Decision {
  readonly id: string;
  readonly run: RunId;
  readonly gate: TaskName;
  readonly opening: number;
  readonly verdict: Verdict;
  /** Name of the token's owner. */
  readonly by: string;
  readonly comment: string;
  readonly atMs: number;
}
