// A run's events as lines for a person: one for each change that matters. Shared by the command line and the hook, so it imports nothing that is slow to load.
import type { GateView, RunEvent, RunView, TaskView } from '../api/schema.ts';

export interface Progress {
  /** The lines that this event adds. */
  readonly tell: (event: RunEvent) => readonly string[];
  /** Set once there is nothing more to wait for: the run ended, or waits for a person. */
  readonly end: () => string | undefined;
}

export function createProgress(describeGate: (gate: GateView) => readonly string[]): Progress {
  const told = new Map<string, string>();
  const failed = new Set<string>();
  let end: string | undefined;
  /** True when this is news. */
  function remember(key: string, state: string): boolean {
    if (told.get(key) === state) return false;
    told.set(key, state);
    return true;
  }
  function note(task: TaskView): void {
    if (hasFailedAtWork(task)) failed.add(task.name);
    else failed.delete(task.name);
  }
  return {
    end: () => end,
    tell: (event) => {
      switch (event.type) {
        case 'task':
          note(event.task);
          return remember(event.task.name, stateOf(event.task)) && isNews(event.task) ? [tellTask(event.task)] : [];
        case 'gate':
          if (!remember(`gate ${event.gate.gate}#${event.gate.opening}`, event.gate.status)) return [];
          return event.gate.status === 'open' ? describeGate(event.gate) : tellDecision(event.gate);
        case 'run':
          if (event.run.status === 'paused') end = 'paused';
          return [];
        case 'end':
          end = event.run.status;
          return tellEnd(event.run, [...failed]);
      }
    },
  };
}

function stateOf({ status, attempt, reason }: TaskView): string {
  return `${status} ${attempt} ${status === 'waiting' ? (reason ?? '') : ''}`;
}

const untold: readonly string[] = ['pending', 'skipped'];

/** An approval says all of it by its gate; what is kept, or never began, is none. */
function isNews({ kept, status, type, startedAt }: TaskView): boolean {
  if (kept || untold.includes(status) || (status === 'cancelled' && startedAt === null)) return false;
  return type !== 'approval' || status === 'failed';
}

function tellTask(task: TaskView): string {
  const attempt = task.attempt > 1 ? ` (attempt ${task.attempt})` : '';
  return `${task.name.padEnd(14)} ${task.status}${attempt}${detailOf(task)}`;
}

/** It has a log that says more. */
function hasFailedAtWork({ status, type, startedAt }: TaskView): boolean {
  return status === 'failed' && type !== 'approval' && startedAt !== null;
}

/** A reason of several lines, the errors of a plan, keeps them. */
function tellEnd({ id, status, reason }: RunView, [failed]: readonly string[]): readonly string[] {
  const look = status === 'failed' && failed !== undefined ? [`  look     loam logs ${id} ${failed}`] : [];
  const [first, ...rest] = reason?.split('\n').map(plain) ?? [];
  if (first === undefined) return [`run ${id} ${status}`, ...look];
  if (rest.length === 0) return [`run ${id} ${status}: ${first}`, ...look];
  return [`run ${id} ${status}:`, ...[first, ...rest].map((line) => `  ${line}`), ...look];
}

function detailOf(task: TaskView): string {
  const time =
    task.startedAt !== null && task.finishedAt !== null ? ` in ${seconds(task.startedAt, task.finishedAt)}` : '';
  return `${time}${task.reason === null ? '' : `: ${plain(task.reason)}`}`;
}

function tellDecision({ gate, status, decision }: GateView): readonly string[] {
  if (decision === null) return status === 'expired' ? [`gate ${gate} expired`] : [];
  return [`gate ${gate} ${decision.verdict} by ${plain(decision.by)}`];
}

/** Of a gate that waits for a trust; undefined for all others. */
export function tellReconnect({ gate, reconnect }: GateView): readonly string[] | undefined {
  if (reconnect === null) return undefined;
  const { trust, task, reason } = reconnect;
  return [
    `${gate} waits for a person: ${task} needs the trust ${plain(trust)}: ${plain(reason)}`,
    `  go on    loam trust reconnect ${plain(trust)}`,
  ];
}

function seconds(from: string, to: string): string {
  return `${((Date.parse(to) - Date.parse(from)) / 1000).toFixed(1)}s`;
}

/** Foreign text must not drive the terminal. */
export function plain(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, ' ');
  return line.length <= 300 ? line : `${line.slice(0, 299)}…`;
}
