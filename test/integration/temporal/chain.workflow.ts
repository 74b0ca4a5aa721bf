import { proxyActivities } from '@temporalio/workflow';

const { hop } = proxyActivities<{ hop(): Promise<void> }>({
  startToCloseTimeout: '10s',
  // An eager activity skips the queue whose flag is measured.
  allowEagerDispatch: false,
});

export async function chain(hops: number): Promise<void> {
  for (let done = 0; done < hops; done += 1) await hop();
}
