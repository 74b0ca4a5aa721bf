import { proxyActivities } from '@temporalio/workflow';

/** As a person would write them who has only these three shapes to run: tasks on the workflow's own queue, at once where nothing is waited for. */
const { step } = proxyActivities<{ step(name: string): Promise<{ status: string }> }>({
  startToCloseTimeout: '10 s',
});

/** As many as Loam's scheduler has under way in a run. */
const atOnce = 50;

async function run(name: string): Promise<void> {
  const { status } = await step(name);
  if (status !== 'succeeded') throw new Error(status);
}

export async function chain(tasks: number): Promise<void> {
  for (let done = 1; done <= tasks; done += 1) await run(`task${done}`);
}

export async function fan(tasks: number): Promise<void> {
  let next = 0;
  async function walk(): Promise<void> {
    while (next < tasks) await run(`task${(next += 1)}`);
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, tasks) }, walk));
}

export async function diamond(tasks: number): Promise<void> {
  await run('task1');
  await Promise.all(Array.from({ length: tasks - 2 }, (_, index) => run(`task${index + 2}`)));
  await run(`task${tasks}`);
}
