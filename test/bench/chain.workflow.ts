import { proxyActivities } from '@temporalio/workflow';

/** As a person would write it who has only this chain to run: jobs on a queue of their own, as Loam has them. */
const { step } = proxyActivities<{ step(name: string): Promise<{ status: string }> }>({
  taskQueue: 'bench-jobs',
  startToCloseTimeout: '1 hour',
});

export async function chain(hops: number): Promise<void> {
  for (let done = 1; done <= hops; done += 1) {
    const { status } = await step(`job${done}`);
    if (status !== 'succeeded') throw new Error(status);
  }
}
