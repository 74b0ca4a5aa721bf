import type { Push } from './delivery.ts';

const branchPrefix = 'refs/heads/';

/** `main` for `refs/heads/main`; undefined for tags and notes. */
export function branchOf(ref: string): string | undefined {
  return ref.startsWith(branchPrefix) ? ref.slice(branchPrefix.length) : undefined;
}

/** Does a branch fit one of the globs? `*` stands for any text without a slash, `**` for any text. No globs: every branch fits. */
export function matchesBranch(globs: readonly string[], branch: string): boolean {
  return globs.length === 0 || globs.some((glob) => matchesGlob(glob, branch));
}

/**
 * Linear in both texts: a regular expression made from foreign globs could be made to take for ever (I10). The rows hold which prefixes of the glob fit
 * the text read so far.
 */
function matchesGlob(glob: string, text: string): boolean {
  const parts = glob.match(/\*\*|[^]/gu) ?? [];
  let fits = closure(parts, new Set([0]));
  for (const character of text) {
    const next = new Set<number>();
    for (const at of fits) {
      const part = parts[at];
      if (part === '**' || (part === '*' && character !== '/')) next.add(at);
      else if (part === character) next.add(at + 1);
    }
    fits = closure(parts, next);
  }
  return fits.has(parts.length);
}

/** A star may stand for nothing. */
function closure(parts: readonly string[], places: ReadonlySet<number>): ReadonlySet<number> {
  const all = new Set(places);
  for (const at of all) if (parts[at] === '*' || parts[at] === '**') all.add(at + 1);
  return all;
}

/** Why a push starts no run, in words for people; undefined: it does (I1). */
export function whyIgnored(push: Push, branches: readonly string[]): string | undefined {
  const branch = branchOf(push.ref);
  if (branch === undefined) return `${push.ref} is not a branch`;
  if (push.after === undefined) return `the branch ${branch} was deleted`;
  if (push.after === push.before) return `the head of ${branch} did not change`;
  if (!matchesBranch(branches, branch)) return `branch filter: ${branch} is none of ${branches.join(', ')}`;
  return undefined;
}
