import type { ApplicationName, EnvironmentName, TaskName } from '../model/ids.ts';

/**
 * The compiled graph: what the workflow schedules. It is part of Temporal's history, so it holds plain values, no secret (I7), and no commit-sized text;
 * adding an optional field is safe, changing the meaning of one breaks replay (I9).
 */
export interface CompiledGraph {
  readonly version: 1;
  readonly onFailure: FailurePolicy;
  /** Every task after all of its needs; otherwise in the order of the plan. */
  readonly tasks: readonly CompiledTask[];
}

/** `fail-fast`: the first failed task cancels what runs and skips the rest. `continue`: only what needs it is skipped. */
export type FailurePolicy = 'fail-fast' | 'continue';

/** A value of the plan: written there, the output of another task, or a secret of the application by name. References travel, values do not. */
export type Value = { readonly literal: string } | { readonly output: OutputReference } | { readonly secret: string };

/** `key` is `''` for the task's main output (a template for generate_template, the digest for build_image). */
export interface OutputReference {
  readonly task: TaskName;
  readonly key: string;
}

export type Network = 'none' | 'egress';

/** What happens to an attempt whose sandbox died with its worker's host (I2). */
export type Rerun = 'restart' | 'resume' | 'never';

interface TaskBase {
  readonly name: TaskName;
  /** Names of all tasks that must have succeeded first: depends_on and get_output together, in plan order, without repeats. */
  readonly needs: readonly TaskName[];
  readonly timeoutMs: number;
  /** All attempts together, at least 1. */
  readonly maxAttempts: number;
  /** Pause before a further attempt. */
  readonly retryDelayMs: number;
  readonly rerun: Rerun;
}

export interface RepoJobTask extends TaskBase {
  readonly type: 'repo_job';
  /** A script for `sh -c` inside the sandbox, in the root of the tree. */
  readonly cmd: string;
  readonly env: Readonly<Record<string, Value>>;
  readonly network: Network;
}

export interface BuildImageTask extends TaskBase {
  readonly type: 'build_image';
  readonly application: ApplicationName;
  /** A script that runs in the tree before it is archived; undefined: the tree as it is. */
  readonly cmd: string | undefined;
  readonly env: Readonly<Record<string, Value>>;
  readonly network: Network;
  /** Set when what is built is an image; absent: an archive. */
  readonly image?: ImageSettings;
}

export interface ImageSettings {
  /** Path in the tree. */
  readonly dockerfile: string;
  /** Stage to build; undefined: the last one. */
  readonly target: string | undefined;
  /** Build arguments. They stand in the image for everybody to read, so none is a secret (I7). */
  readonly args: Readonly<Record<string, Value>>;
}

export interface GenerateTemplateTask extends TaskBase {
  readonly type: 'generate_template';
  readonly application: ApplicationName;
  /** The environment whose settings enter the template; undefined: it fits all of them. */
  readonly environment: EnvironmentName | undefined;
  /** Digest of the artifact; undefined in plans that deploy no build of ours. */
  readonly image: Value | undefined;
  /** Set when it names no image and is deployed where one is needed: it is built from the commit, and the template names it. */
  readonly build?: ImageSettings;
}

export interface DeployStackTask extends TaskBase {
  readonly type: 'deploy_stack';
  readonly environment: EnvironmentName;
  readonly template: Value;
  /** Tasks that read this deploy's outputs: the environment's lock is held until they have ended (I5). */
  readonly readers: readonly TaskName[];
  /** Of a plan that Loam makes itself: a release of this environment is deployed once more, with the settings that it had. */
  readonly redeploy?: Redeploy;
}

export interface Redeploy {
  readonly release: number;
  /** The environment's number of replicas from then on, if that release is still the live one. */
  readonly replicas?: number;
}

export interface ApprovalTask extends TaskBase {
  readonly type: 'approval';
  /** The environment whose protection says who may decide. */
  readonly environment: EnvironmentName;
  /** The deploys to that environment that come after this gate: a decision is bound to what they will deploy (I4). */
  readonly covers: readonly TaskName[];
}

export type CompiledTask = RepoJobTask | BuildImageTask | GenerateTemplateTask | DeployStackTask | ApprovalTask;
export type TaskType = CompiledTask['type'];
export const taskTypes = [
  'repo_job',
  'build_image',
  'generate_template',
  'deploy_stack',
  'approval',
] as const satisfies readonly TaskType[];
