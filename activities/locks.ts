// Keeps I3: the queue is the workflow `environment`, the fence is a row; activities only carry the questions.
import { holderWorkflowId } from '../src/core/model/ids.ts';
import type { Room } from './dependencies.ts';
import type { EnvironmentActivities, RunActivities } from './types.ts';

type LockActivities = Pick<RunActivities, 'acquireLock' | 'releaseLock'> & EnvironmentActivities;

export function createLockActivities({ engine, store }: Room): LockActivities {
  return {
    acquireLock: (input) => engine.acquireLock(input),
    releaseLock: (input) => engine.releaseLock(input),
    takeFence: ({ application, environment, holder }) => store.environments.takeFence(application, environment, holder),
    isHolderOpen: ({ holder }) => engine.isOpen(holderWorkflowId(holder)),
    async readLockPolicy({ application, environment }) {
      const row = await store.environments.get(application, environment);
      return row?.lockPolicy ?? 'queue';
    },
  };
}
