// Keeps I3: the queue is the workflow `environment`, the fence is a row; activities only carry the questions.
import { holderWorkflowId } from '../src/core/model/ids.ts';
import type { Room } from './dependencies.ts';
import type { EnvironmentActivities, RunActivities } from './types.ts';

type LockActivities = Pick<RunActivities, 'acquireLock' | 'releaseLock'> & EnvironmentActivities;

export function createLockActivities({ engine, store, targets }: Room): LockActivities {
  return {
    acquireLock: (input) => engine.acquireLock(input),
    releaseLock: (input) => engine.releaseLock(input),
    async takeFence({ application, environment, holder }) {
      const kindOf = (await store.environments.get(application, environment))?.target;
      const target = targets.find(({ kind }) => kind === kindOf);
      const releases = target === undefined ? [] : await target.list(application, environment);
      const seen = Math.max(0, ...releases.map(({ fence }) => fence));
      return store.environments.takeFence(application, environment, holder, seen);
    },
    isHolderOpen: ({ holder }) => engine.isOpen(holderWorkflowId(holder)),
    async readLockPolicy({ application, environment }) {
      const row = await store.environments.get(application, environment);
      return row?.lockPolicy ?? 'queue';
    },
  };
}
