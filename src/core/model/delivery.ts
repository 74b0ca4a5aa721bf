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

/** What became of a delivery; the door's answer says it. */
export type DeliveryAnswer =
  | { readonly result: 'accepted'; readonly application: ApplicationName; readonly number: number }
  | { readonly result: 'duplicate'; readonly application: ApplicationName; readonly number: number | undefined }
  | { readonly result: 'ignored'; readonly application: ApplicationName; readonly reason: string };
