import { setTimeout as delay } from 'node:timers/promises';
import { isTerminal } from '../core/model/status.ts';
import type { RunId } from '../core/model/ids.ts';
import type { EventStream } from './event-stream.ts';
import type { RunReader, RunSnapshot } from './run-reader.ts';
import type { RunEvent, RunView } from './schema.ts';

const busyPollMs = 50;
const quietPollMs = 500;
/** After this long without a change a run is taken to wait for a person. */
const quietAfterMs = 10_000;

/** Sends the run as it is, then each change of it, until it has ended. */
export async function followRun(reader: RunReader, run: RunId, stream: EventStream): Promise<void> {
  const seen = new Map<string, string>();
  let changedAtMs = Date.now();
  for (;;) {
    const snapshot = await reader.snapshot(run);
    for (const [key, event] of eventsOf(snapshot)) {
      const data = JSON.stringify(event);
      if (seen.get(key) === data) continue;
      seen.set(key, data);
      changedAtMs = Date.now();
      await stream.send({ type: event.type, data: event });
    }
    if (isTerminal(snapshot.run.status)) {
      await stream.send({ type: 'end', data: { type: 'end', run: snapshot.run } satisfies RunEvent });
      return;
    }
    await pause(changedAtMs, stream.signal);
  }
}

/** The end of a run is an event of its own, so that a reader sees the last changes of its tasks before it. */
function* eventsOf({ run, tasks, gates }: RunSnapshot): Generator<[string, RunEvent]> {
  for (const task of tasks) yield [`task ${task.name}`, { type: 'task', task }];
  for (const gate of gates) yield [`gate ${gate.gate}#${gate.opening}`, { type: 'gate', gate }];
  // Last: who stops at a pause has been told of the gate that it waits at.
  if (!isTerminal(run.status)) yield ['run', { type: 'run', run }];
}

/** Sends the newest runs as they are, oldest first, then each change among them. */
export async function followRuns(read: () => Promise<readonly RunView[]>, stream: EventStream): Promise<void> {
  let seen = new Map<string, string>();
  let changedAtMs = Date.now();
  for (;;) {
    const next = new Map<string, string>();
    for (const run of (await read()).toReversed()) {
      const data = JSON.stringify(run);
      next.set(run.id, data);
      if (seen.get(run.id) === data) continue;
      changedAtMs = Date.now();
      await stream.send({ type: 'run', data: { type: 'run', run } satisfies RunEvent });
    }
    seen = next;
    await pause(changedAtMs, stream.signal);
  }
}

async function pause(changedAtMs: number, signal: AbortSignal): Promise<void> {
  const isQuiet = Date.now() - changedAtMs > quietAfterMs;
  await delay(isQuiet ? quietPollMs : busyPollMs, undefined, { signal });
}
