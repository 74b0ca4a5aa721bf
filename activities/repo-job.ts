import type { RepoJobTask } from '../src/core/graph/graph.ts';
import type { TaskOutcome } from '../src/core/model/status.ts';
import { succeeded } from './attempt.ts';
import type { Room } from './dependencies.ts';
import { runJob } from './job.ts';
import type { TaskInput } from './types.ts';

export function repoJob(room: Room, input: TaskInput<RepoJobTask>): Promise<TaskOutcome> {
  return runJob(room, input, {
    cmd: input.task.cmd,
    onSuccess: () => Promise.resolve({ ...succeeded(), outcome: { status: 'succeeded', exitCode: 0 } }),
  });
}
