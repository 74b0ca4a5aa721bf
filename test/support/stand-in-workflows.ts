// Stand-ins for the workflows: the same names and messages, no work.
import { ApplicationFailure, condition, setHandler } from '@temporalio/workflow';
import { acquire, decide, release } from '../../workflows/messages.ts';
import type { EnvironmentInput, RunInput, RunResult } from '../../workflows/messages.ts';

/** Ends when a gate is decided; the gate `closed` refuses. */
export async function run(input: RunInput): Promise<RunResult> {
  let decided: string | undefined;
  setHandler(
    decide,
    (gate, decisionId) => {
      decided = decisionId;
      return { verdict: gate === 'no' ? ('rejected' as const) : ('approved' as const) };
    },
    {
      validator: (gate, decisionId) => {
        if (gate === 'closed') throw ApplicationFailure.nonRetryable(`${decisionId}: not open`, 'gate-closed');
      },
    },
  );
  await condition(() => decided !== undefined);
  return { status: 'succeeded', reason: `${input.run} ${decided ?? ''}` };
}

export async function environment(input: EnvironmentInput): Promise<void> {
  const queue: string[] = [];
  setHandler(acquire, ({ holder }) => {
    if (!queue.includes(holder)) queue.push(holder);
    const position = queue.indexOf(holder);
    return position === 0 ? { type: 'granted', fence: 1 } : { type: 'waiting', position, holder: queue[0] ?? '' };
  });
  setHandler(release, ({ holder }) => {
    const at = queue.indexOf(holder);
    if (at >= 0) queue.splice(at, 1);
    return undefined;
  });
  await condition(() => input.application.length === 0);
}
