import type { DeliveryAnswer, DeliverySource, KnownHead, Push } from '../core/model/delivery.ts';
import type { ApplicationName, Digest } from '../core/model/ids.ts';
import type { RunPlan } from './store.ts';

export interface NewDelivery {
  /** Under which a relay has answered its sender already; else the store chooses one. */
  readonly id?: string | undefined;
  readonly application: ApplicationName;
  readonly source: DeliverySource;
  /** Chosen by the sender, at most 200 characters. */
  readonly deliveryId: string;
  /** SHA-256 of the signed body. */
  readonly bodyDigest: Digest;
  readonly push: Push;
  /** Of a run that Loam makes itself: it works with this, and nothing of the commit is read. */
  readonly plan?: RunPlan | undefined;
  /** Why no run is wanted (branch filter, deleted ref); decided by the pure rules of core. */
  readonly ignored: string | undefined;
}

export interface DeliveryRow {
  readonly id: string;
  readonly application: ApplicationName;
  readonly receivedAtMs: number;
  readonly answer: DeliveryAnswer;
  /** Undefined for an event that is no push. A repeat shows what the first one brought. */
  readonly brought: { readonly source: DeliverySource; readonly deliveryId: string; readonly push: Push } | undefined;
}

export interface KnownHeads {
  /** False until `markWatched`: then heads that no delivery has named were there before, and are no pushes. */
  readonly isWatched: boolean;
  /** Of each ref the newest delivery of a push (several when they came in the same millisecond), and the manual ones since. */
  readonly newest: readonly KnownHead[];
}

export interface DeliveryStore {
  /**
   * I1: one transaction: the delivery, the number and the run row. The same delivery id, the same body, or the same (ref, before, after) from another source within
   * 10 minutes answers `duplicate` with the run of the first; `manual` is never the same as a push. A push whose `after` is `before`, or that has none, is `ignored`.
   * Throws `input-invalid` when the given `id` names another delivery.
   */
  receive(delivery: NewDelivery): Promise<DeliveryAnswer>;
  /** Records an event that is no push, so that its id can be asked for. Twice under the same id is once. */
  ignore(event: Pick<NewDelivery, 'id' | 'application'> & { readonly reason: string }): Promise<DeliveryAnswer>;
  /** Any delivery that was answered, also a repeat, which has the id that its answer named. */
  get(id: string): Promise<DeliveryRow | undefined>;
  heads(application: ApplicationName): Promise<KnownHeads>;
  markWatched(application: ApplicationName): Promise<void>;
}
