import type { ApplicationName, EnvironmentName } from '../../../core/model/ids.ts';
import { askFront } from '../../front/front-client.ts';
import { readRoutes } from '../../front/route.ts';
import { readReplicaState } from '../../front/replica-state.ts';
import type { ReplicaState } from '../../front/replica-state.ts';
import { releaseFolder, replicaFolder } from '../../front/layout.ts';
import { isRunning } from '../../host/process-identity.ts';

/** What runs, for `loam up`, `loam doctor` and the API. */
export interface TargetStatus {
  /** Undefined: no front runs. */
  readonly front: { readonly pid: number } | undefined;
  readonly environments: readonly {
    readonly application: ApplicationName;
    readonly environment: EnvironmentName;
    readonly live: { readonly release: number; readonly fence: number; readonly url: string } | undefined;
    /** Why the front does not listen on the environment's port. */
    readonly portError: string | undefined;
    readonly replicas: readonly {
      /** `lost`: its keeper is gone, `restore` would start it again. */
      readonly status: ReplicaState['status'] | 'lost';
      readonly pid: number | undefined;
      readonly port: number | undefined;
      readonly restarts: number;
      readonly isIsolated: boolean;
      readonly error: string | undefined;
    }[];
  }[];
}

export async function readStatus(data: string): Promise<TargetStatus> {
  const front = await askFront(data);
  const routes = await readRoutes(data);
  const environments = routes.map(async ({ application, environment, live }) => {
    const folder = live === undefined ? '' : releaseFolder(data, { application, environment, ...live });
    const indexes = Array.from({ length: live?.replicas ?? 0 }, (_, index) => index);
    const states = await Promise.all(indexes.map((index) => readReplicaState(replicaFolder(folder, index))));
    return {
      application,
      environment,
      live: live && { release: live.release, fence: live.fence, url: `http://127.0.0.1:${live.port}` },
      portError: front?.ports.find((one) => one.port === live?.port)?.error,
      replicas: states.map(describeReplica),
    };
  });
  return { front: front && { pid: front.process.pid }, environments: await Promise.all(environments) };
}

function describeReplica(state: ReplicaState | undefined): TargetStatus['environments'][number]['replicas'][number] {
  const isKept = state !== undefined && isRunning(state.keeper);
  return {
    status: isKept ? state.status : 'lost',
    pid: isKept ? state.app?.pid : undefined,
    port: isKept ? state.port : undefined,
    restarts: state?.restarts ?? 0,
    isIsolated: state?.sandbox === 'bubblewrap',
    error: state?.error,
  };
}
