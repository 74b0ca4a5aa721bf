import type { KnownHead } from './delivery.ts';
import type { Sha } from './ids.ts';

/** A head that no delivery has named. */
export interface MissedPush {
  readonly ref: string;
  readonly before: Sha | undefined;
  readonly after: Sha;
  /** The same for the same push, whoever finds it and however often; another one when a ref comes back to a commit. */
  readonly key: string;
}

/**
 * Compares the heads of a repository with what deliveries have said of them (I1). Refs that are gone are no pushes: there is nothing to run.
 * A ref that a person has had a run of counts as known at that commit.
 */
export function findMissedPushes(heads: ReadonlyMap<string, Sha>, newest: readonly KnownHead[]): readonly MissedPush[] {
  const byRef = Map.groupBy(newest, ({ ref }) => ref);
  return [...heads].flatMap(([ref, after]) => {
    const known = byRef.get(ref) ?? [];
    if (known.some((one) => one.after === after)) return [];
    const last = known.find(({ isManual }) => !isManual);
    return [{ ref, before: last?.after, after, key: `${ref} ${last?.delivery ?? 'new'} ${after}` }];
  });
}
