import type { LockAnswer, RunEngine } from '../../src/ports/run-engine.ts';

/** An engine in which every named workflow is open; locks are granted at once with a growing fence. */
export class FakeEngine implements RunEngine {
  readonly open = new Set<string>();
  readonly calls: string[] = [];
  #fence = 0;

  async startRun(): ReturnType<RunEngine['startRun']> {
    return Promise.resolve({ type: 'started', temporalRunId: 'fake' });
  }

  async deliverDecision(): Promise<'delivered' | 'gone'> {
    return Promise.resolve('delivered');
  }

  async cancelRun(): Promise<'requested' | 'gone'> {
    return Promise.resolve('requested');
  }

  async isOpen(workflowId: string): Promise<boolean> {
    return Promise.resolve(this.open.has(workflowId));
  }

  async closedStatus(): ReturnType<RunEngine['closedStatus']> {
    return Promise.resolve(undefined);
  }

  async acquireLock({ holder }: Parameters<RunEngine['acquireLock']>[0]): Promise<LockAnswer> {
    this.calls.push(`acquire ${holder}`);
    this.#fence += 1;
    return Promise.resolve({ type: 'granted', fence: this.#fence });
  }

  async releaseLock({ holder }: Parameters<RunEngine['releaseLock']>[0]): Promise<void> {
    this.calls.push(`release ${holder}`);
    return Promise.resolve();
  }
}
