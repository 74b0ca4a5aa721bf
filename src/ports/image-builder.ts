import type { Network } from '../core/graph/graph.ts';
import type { ApplicationName, Digest } from '../core/model/ids.ts';
import type { LogKey } from './log-store.ts';

export interface ImageSpec {
  /** One image per task attempt: a build that is asked for again finds what the first one made. */
  readonly key: LogKey;
  readonly application: ApplicationName;
  /** Path of a tar with the tree of the commit. */
  readonly source: string;
  /** Path of the Dockerfile in the tree. */
  readonly dockerfile: string;
  /** Stage to build; undefined: the last one. */
  readonly target: string | undefined;
  /** Build arguments. They stand in the image for everybody to read: never a secret (I7). */
  readonly args: Readonly<Record<string, string>>;
  /** Of the steps of the build. */
  readonly network: Network;
  /** Labels of the image. Part of its digest: nothing that differs from run to run. */
  readonly labels: Readonly<Record<string, string>>;
}

export type ImageEnd =
  | {
      readonly type: 'built';
      readonly digest: Digest;
      /** Where a registry has it, by digest; undefined: on this engine only. */
      readonly reference: string | undefined;
    }
  /** The Dockerfile or one of its steps is at fault. */
  | { readonly type: 'failed'; readonly exitCode: number | undefined; readonly reason: string };

/** Builds images from a Dockerfile (I5, I8: the steps run in containers of the engine, never in Loam's own processes). */
export interface ImageBuilder {
  /**
   * Find-or-create by key. Gives the output piece by piece, each ending with a line end, and awaits `onOutput`. Abort ends the build and rejects with the signal's
   * reason. Throws `engine-unavailable` when the engine failed; may be repeated then.
   */
  build(
    spec: ImageSpec,
    options: { readonly signal: AbortSignal; readonly onOutput: (bytes: Uint8Array) => Promise<void> },
  ): Promise<ImageEnd>;
}
