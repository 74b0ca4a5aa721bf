import type { ApplicationName, Digest, EnvironmentName } from '../model/ids.ts';
import type { Setting, TargetKind } from '../plan/plan.ts';

/** What `generate_template` makes and `deploy_stack` deploys. Canonical JSON of it is the blob whose digest a decision is bound to (I4, I5). */
export interface Template {
  readonly version: 1;
  readonly application: ApplicationName;
  /** Set when the template was made for one environment only; a deploy elsewhere is refused then. */
  readonly environment: EnvironmentName | undefined;
  readonly compute: TargetKind | undefined;
  /** Digest of the artifact; undefined when nothing of ours was built. */
  readonly image: Digest | undefined;
  readonly start: string | undefined;
  readonly port: number | undefined;
  readonly health: string;
  /** Config of the application; the environment's own is laid over it at deploy. Secrets stay names. */
  readonly config: Readonly<Record<string, Setting>>;
  readonly services: readonly string[];
}
