import type { Activities } from './types.ts';
import { finish, record } from './bookkeeping.ts';
import { guardActivities } from './boundary.ts';
import { buildImage } from './build-image.ts';
import { deployStack } from './deploy-stack.ts';
import { makeRoom } from './dependencies.ts';
import type { ActivityDependencies } from './dependencies.ts';
import { makeTemplate } from './generate-template.ts';
import { keepTrusts } from './keep-trusts.ts';
import { createLockActivities } from './locks.ts';
import { openGate, readDecision } from './open-gate.ts';
import { openReconnect } from './open-reconnect.ts';
import { repoJob } from './repo-job.ts';
import { resolve } from './resolve.ts';

/** All activities of a worker over the adapters that its main made. The names are wire format. */
export function createActivities(dependencies: ActivityDependencies): Activities {
  const room = makeRoom(dependencies);
  const activities: Activities = {
    repo_job: (input) => repoJob(room, input),
    build_image: (input) => buildImage(room, input),
    deploy_stack: (input) => deployStack(room, input),
    resolve: (input) => resolve(room, input),
    generate_template: (input) => makeTemplate(room, input),
    open_gate: (input) => openGate(room, input),
    openReconnect: (input) => openReconnect(room, input),
    readDecision: (input) => readDecision(room, input),
    record: (input) => record(room, input),
    finish: (input) => finish(room, input),
    keepTrusts: (input) => keepTrusts(room, input),
    ...createLockActivities(room),
  };
  return guardActivities(activities, room.logger);
}
