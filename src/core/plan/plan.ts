import type { CompiledGraph } from '../graph/graph.ts';
import type { Problem } from '../errors.ts';
import type { ApplicationName, EnvironmentName } from '../model/ids.ts';

/** What an environment deploys to. Loam itself serves `process`; the others compile anywhere and run where they are registered. */
export type TargetKind = 'process' | 'docker' | 'swarm' | 'heat';

/** A setting of an application or environment: written in the plan, or a secret of the service by name. */
export type Setting = { readonly literal: string } | { readonly secret: string };

export interface PlanApplication {
  readonly name: ApplicationName;
  /** Command that serves the application; undefined in plans that deploy by template alone. */
  readonly start: string | undefined;
  /** Port that the application listens on where each release has a network of its own; on `process` it is given a free one in `PORT`. */
  readonly port: number | undefined;
  /** Path that answers 2xx when the release can serve. Default `/`. */
  readonly health: string;
  readonly config: Readonly<Record<string, Setting>>;
  readonly services: readonly string[];
  readonly gitUrl: string | undefined;
}

export interface PlanEnvironment {
  readonly name: EnvironmentName;
  readonly compute: TargetKind;
  /** Overrides of the application's config in this environment. */
  readonly config: Readonly<Record<string, Setting>>;
  /** Name of a trust registered in the service. A literal token of the plan is dropped here and was warned of. */
  readonly trust: string | undefined;
  /** All other keys as written (`region`, `flavor`), after inheritance from `default`. */
  readonly settings: Readonly<Record<string, string>>;
}

/** A checked and compiled plan: what `resolve` stores by digest and what activities read again. Holds no secret (I7). */
export interface CompiledPlan {
  readonly version: 1;
  readonly graph: CompiledGraph;
  readonly applications: readonly PlanApplication[];
  readonly environments: readonly PlanEnvironment[];
  /** Branches that the plan's `on:` asks for; undefined: all. A run of another branch ends as `skipped`. */
  readonly onBranches: readonly string[] | undefined;
}

export interface PlanCheck {
  /** Undefined when there are errors. */
  readonly compiled: CompiledPlan | undefined;
  /** All at once, in the order of their places. Each carries `code`, `line`, `column`, `remedy`. */
  readonly errors: readonly Problem[];
  readonly warnings: readonly Problem[];
}
