import { branchOf, matchesBranch } from '../model/branch-filter.ts';

/** Why a ref may not be deployed to an environment, in words for people; undefined: it may. No globs: every branch and tag may. */
export function whyBranchRefused(
  environment: { readonly name: string; readonly branches: readonly string[] },
  ref: string,
): string | undefined {
  if (environment.branches.length === 0) return undefined;
  const branch = branchOf(ref);
  if (branch !== undefined && matchesBranch(environment.branches, branch)) return undefined;
  return `environment ${environment.name} takes only the branches ${environment.branches.join(', ')}, and this is ${branch ?? ref}`;
}
