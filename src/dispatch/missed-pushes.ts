// I1: a push that no webhook and no hook brought is found by its head, and becomes one delivery.
import { whyIgnored } from '../core/model/branch-filter.ts';
import type { Push } from '../core/model/delivery.ts';
import { firstLine } from '../core/model/foreign-text.ts';
import type { ApplicationName, Digest, Sha } from '../core/model/ids.ts';
import { findMissedPushes } from '../core/model/missed-push.ts';
import type { MissedPush } from '../core/model/missed-push.ts';
import type { Git, GitSource } from '../ports/git.ts';
import type { Logger } from '../ports/logger.ts';
import type { Application, Store } from '../ports/store.ts';
import { describeError, startLane } from './lane.ts';
import type { Lane } from './lane.ts';

export interface MissedPushesOptions {
  readonly store: Pick<Store, 'applications' | 'deliveries'>;
  readonly git: Pick<Git, 'heads' | 'fetch' | 'commit'>;
  readonly logger: Logger;
  /** Between two looks at the repositories. */
  readonly everyMs: number;
  /** SHA-256 of a text. */
  readonly digest: (text: string) => Digest;
  /** There is a run to start. */
  readonly wake: () => void;
}

type CommitText = Pick<Push, 'message' | 'author'>;

const nobody: CommitText = { message: '', author: '' };

/** For one repository, so that one which does not answer cannot hold up the others for long. */
const lookTimeoutMs = 120_000;
const atOnce = 4;

/**
 * Looks at the heads of all repositories, now and then. A head is a missed push when two looks in a row have found it: a webhook or hook that is on its way
 * goes first, so that its sender sees the run. Several processes may look: the key of a push makes their deliveries one.
 */
export function watchHeads(options: MissedPushesOptions): Lane {
  const { store, logger, everyMs } = options;
  const seen = new Map<ApplicationName, ReadonlySet<string>>();
  const unreachable = new Set<ApplicationName>();

  async function look(application: Application, signal: AbortSignal): Promise<void> {
    const { name } = application;
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(lookTimeoutMs)]);
      seen.set(name, await lookAt(options, application, seen.get(name) ?? new Set(), limit));
      if (unreachable.delete(name)) logger.info({ application: name }, 'heads can be read again');
    } catch (error) {
      if (signal.aborted || unreachable.has(name)) return; // said once, not at every look
      unreachable.add(name);
      logger.warn({ application: name, ...describeError(error) }, 'heads cannot be read');
    }
  }

  return startLane({
    name: 'heads',
    pollMs: everyMs,
    logger,
    work: async (signal) => {
      const waiting = [...(await store.applications.list())];
      async function take(): Promise<void> {
        for (let one = waiting.shift(); one !== undefined && !signal.aborted; one = waiting.shift())
          await look(one, signal);
      }
      await Promise.all(Array.from({ length: atOnce }, take));
      return false;
    },
  });
}

/** One look. Returns the keys of the pushes that are missing for the first time. */
async function lookAt(
  options: MissedPushesOptions,
  application: Application,
  seenBefore: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const { store, git } = options;
  const { name } = application;
  const source = await store.applications.source(name);
  const heads: ReadonlyMap<string, Sha> = await git.heads(source, signal);
  const { isWatched, newest } = await store.deliveries.heads(name);
  const missed = findMissedPushes(heads, newest);
  if (!isWatched) {
    // A repository may be old when it is added: what no delivery has ever named was not pushed to Loam.
    const named = new Set(newest.map(({ ref }) => ref));
    for (const push of missed.filter(({ ref }) => !named.has(ref))) {
      await deliver(options, application, push, nobody, 'the branch was there before Loam watched');
    }
    await store.deliveries.markWatched(name);
    return new Set();
  }
  const fresh = new Set<string>();
  for (const push of missed) {
    if (seenBefore.has(push.key)) await bring(options, application, source, push, signal);
    else fresh.add(push.key);
  }
  return fresh;
}

async function bring(
  options: MissedPushesOptions,
  application: Application,
  source: GitSource,
  push: MissedPush,
  signal: AbortSignal,
): Promise<void> {
  const { logger, wake } = options;
  const ignored = whyIgnored({ ...push, ...nobody, pushedAtMs: 0 }, application.branches);
  const text = ignored === undefined ? await describeCommit(options, source, push, signal) : nobody;
  const answer = await deliver(options, application, push, text, ignored);
  logger.info({ ...answer, ref: push.ref, commit: push.after }, 'push found that no webhook brought');
  wake();
}

/** Only for people: the run itself says what is wrong with a commit that cannot be fetched. */
async function describeCommit(
  { git, logger }: MissedPushesOptions,
  source: GitSource,
  { after }: MissedPush,
  signal: AbortSignal,
): Promise<CommitText> {
  try {
    await git.fetch(source, after, signal);
    const { subject, author } = await git.commit(source, after, signal);
    return { message: firstLine(subject), author: firstLine(author) };
  } catch (error) {
    signal.throwIfAborted();
    logger.warn({ application: source.application, commit: after, ...describeError(error) }, 'commit cannot be read');
    return nobody;
  }
}

async function deliver(
  { store, digest }: MissedPushesOptions,
  application: Application,
  { key, ref, before, after }: MissedPush,
  text: CommitText,
  ignored: string | undefined,
) {
  const push = { ref, before, after, pushedAtMs: Date.now(), ...text };
  const id = digest(`heads of ${application.name}: ${key}`);
  return store.deliveries.receive({
    application: application.name,
    source: 'reconciler',
    deliveryId: id,
    bodyDigest: id,
    push,
    ignored,
  });
}
