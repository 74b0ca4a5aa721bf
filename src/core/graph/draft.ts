import type { PlanApplication, PlanEnvironment } from '../plan/plan.ts';
import type { CompiledTask, FailurePolicy, OutputReference } from './graph.ts';

/** A checked plan before its tasks are joined. Places are JSON pointers. */
export interface Draft {
  readonly onFailure: FailurePolicy;
  readonly applications: readonly PlanApplication[];
  readonly environments: readonly PlanEnvironment[];
  /** In the order of the plan. */
  readonly tasks: readonly DraftTask[];
  /** Names that stand in the plan and whose own problems are reported already: nothing more is said about those who need them. */
  readonly broken: {
    readonly applications: ReadonlySet<string>;
    readonly environments: ReadonlySet<string>;
    readonly tasks: ReadonlySet<string>;
  };
}

export interface DraftTask {
  readonly pointer: string;
  /** With empty `needs`, `readers` and `covers`: the compiler finds those. */
  readonly task: CompiledTask;
  readonly dependsOn: readonly { readonly name: string; readonly pointer: string }[];
  /** Every get_output of the task. */
  readonly outputs: readonly DraftOutput[];
}

export interface DraftOutput extends OutputReference {
  readonly pointer: string;
  /** What it is used as; a variable takes any output. */
  readonly use: 'variable' | 'image' | 'template';
}
