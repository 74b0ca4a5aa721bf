import type { PlanCheck } from '../core/plan/plan.ts';

/** A command that works on this machine instead of asking the API; `main` brings it. */
export interface LocalCommand {
  /** The group that it belongs to, with what it says of itself. */
  readonly group?: { readonly name: string; readonly summary: string };
  /** With its arguments, as commander writes them. */
  readonly name: string;
  readonly summary: string;
  readonly options: readonly { readonly flags: string; readonly description: string }[];
  readonly examples: readonly string[];
  /** Gets the options as commander names them (`noDemo` for `--no-demo` is `demo: false`); returns the exit code. */
  readonly run: (options: Readonly<Record<string, unknown>>, args: readonly string[]) => Promise<number>;
}

/** All that the command line touches of its process; tests hand in their own. */
export interface CliContext {
  /** Without program and script. */
  readonly args: readonly string[];
  /** The folder it was started in. */
  readonly folder: string;
  readonly write: (text: string) => void;
  readonly writeError: (text: string) => void;
  readonly input: AsyncIterable<Uint8Array>;
  readonly isInputTerminal: boolean;
  /** Standard output is a terminal and nobody asked for plain text (NO_COLOR). */
  readonly hasColors: boolean;
  readonly version: string;
  readonly apiUrl: string | undefined;
  readonly readToken: (() => string) | undefined;
  /** Absolute. */
  readonly dataFolder: string;
  readonly checkPlan: (text: string) => Promise<PlanCheck>;
  readonly local: readonly LocalCommand[];
  /** Aborts on Ctrl-C. */
  readonly signal: AbortSignal;
}
