import type { ApplicationName, Sha } from './ids.ts';

/** Who brought a delivery. The same push may come from several of them (I1). */
export type DeliverySource = 'hook' | 'webhook' | 'manual' | 'reconciler';

/** A push as every source describes it after its own format has been read. */
export interface Push {
  /** Full name, such as `refs/heads/main`. */
  readonly ref: string;
  /** Undefined when the ref is new. */
  readonly before: Sha | undefined;
  /** Undefined when the ref was deleted. */
  readonly after: Sha | undefined;
  /** When it was pushed, as the forge said it (milliseconds since 1970). */
  readonly pushedAtMs: number;
  /** First line of the commit message; foreign text. */
  readonly message: string;
  /** Foreign text. */
  readonly author: string;
}

interface Answered {
  /** Id of the delivery that this is the answer to. */
  readonly delivery: string;
  readonly application: ApplicationName;
}

/** What became of a delivery; the door's answer says it. */
export type DeliveryAnswer = Answered &
  (
    | { readonly result: 'accepted'; readonly number: number }
    /** `of`: the delivery that it repeats; its run, if that one has any. */
    | { readonly result: 'duplicate'; readonly of: string; readonly number: number | undefined }
    | { readonly result: 'ignored'; readonly reason: string }
  );

/** What deliveries have said of a ref last. */
export interface KnownHead {
  readonly ref: string;
  /** Undefined when the ref was deleted. */
  readonly after: Sha | undefined;
  readonly delivery: string;
  /** Asked for by a person: says which commit was run, not that the ref was moved. */
  readonly isManual: boolean;
}
