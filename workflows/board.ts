import { defineSearchAttributeKey } from '@temporalio/common';
import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { reconnectGate } from '../src/core/gate/reconnect.ts';
import type { CompiledGraph, CompiledTask } from '../src/core/graph/graph.ts';
import type { EnvironmentName, RunId, TaskName } from '../src/core/model/ids.ts';
import type { RunStatus } from '../src/core/model/status.ts';
import { at, viewTask } from '../src/core/scheduler/state.ts';
import type { SchedulerState, TaskState, TaskView } from '../src/core/scheduler/state.ts';
import type { RunView } from './messages.ts';
import { plainText } from './ui-text.ts';

const statusKey = defineSearchAttributeKey('LoamStatus', 'KEYWORD');
const gateKey = defineSearchAttributeKey('LoamGate', 'KEYWORD');
const environmentKey = defineSearchAttributeKey('LoamEnvironment', 'KEYWORD_LIST');

/** 20 kB are allowed; a character has at most 4 bytes. */
const detailCharacters = 4_500;
const reasonCharacters = 160;

/** What a reader of the Temporal UI sees of the run: the current details, and search attributes that change with the stage only (each is an event). */
export class Board {
  readonly #run: RunId;
  #status: RunStatus = 'pending';
  #gate: TaskName | undefined;
  #tasks: readonly TaskRow[] = [];
  #notes: readonly string[] = [];

  constructor(run: RunId) {
    this.#run = run;
  }

  view(): RunView {
    const tasks = this.#tasks.map(({ view: { task, status, attempt } }) => ({ task, status, attempt }));
    return { status: this.#status, tasks };
  }

  note(text: string): void {
    this.#notes = [...this.#notes, text];
    this.#describe();
  }

  /** The plan is known. */
  open(graph: CompiledGraph): void {
    const environments = graph.tasks.flatMap((task) => (task.type === 'deploy_stack' ? [task.environment] : []));
    this.#status = 'running';
    upsertSearchAttributes([
      { key: statusKey, value: 'running' },
      ...(environments.length > 0 ? [{ key: environmentKey, value: [...new Set<EnvironmentName>(environments)] }] : []),
    ]);
  }

  show(state: SchedulerState): void {
    // What has not changed is the same object: its line is kept.
    this.#tasks = state.tasks.map((task, position) => {
      const before = this.#tasks[position];
      return before?.state === task
        ? before
        : makeRow(this.#run, task, viewTask(state, position), at(state.index.graph.tasks, position));
    });
    const paused = state.counts.paused === 0 ? undefined : this.#tasks.find(({ view }) => view.status === 'paused');
    this.#enter(state.status, paused?.gate);
    this.#describe();
  }

  end(status: RunStatus, reason: string | undefined): void {
    this.#enter(status, undefined);
    if (reason !== undefined) this.note(reason);
  }

  #enter(status: RunStatus, gate: TaskName | undefined): void {
    const hasNewStatus = status !== this.#status;
    const hasNewGate = gate !== this.#gate;
    this.#status = status;
    this.#gate = gate;
    if (!hasNewStatus && !hasNewGate) return;
    upsertSearchAttributes([
      ...(hasNewStatus ? [{ key: statusKey, value: status }] : []),
      ...(hasNewGate ? [{ key: gateKey, value: gate ?? null }] : []),
    ]);
  }

  #describe(): void {
    const notes = this.#notes.map((note) => plainText(note, reasonCharacters));
    setCurrentDetails([`**${this.#run}**: ${this.#status}`, ...notes, listTasks(this.#tasks)].join('\n\n'));
  }
}

interface TaskRow {
  readonly state: TaskState;
  readonly view: TaskView;
  /** What it waits at, while it is paused. */
  readonly gate: TaskName;
  readonly line: string;
}

function makeRow(run: RunId, state: TaskState, view: TaskView, task: CompiledTask): TaskRow {
  // A deploy waits for a person only when its trust was withdrawn; its reason says so.
  const isParked = task.type === 'deploy_stack';
  const gate = isParked ? reconnectGate(task.environment) : view.task;
  const hint = isParked ? ': waits for a person, `loam trust reconnect`' : describeGate(run, view);
  return { state, view, gate, line: `${describeTask(view)}${view.status === 'paused' ? hint : ''}` };
}

/** Whoever sees a run wait should know for what, and what to do. */
function describeGate(run: RunId, { task }: TaskView): string {
  return `: waits for a person, \`loam approve ${run} ${task}\` or \`loam reject ${run} ${task}\``;
}

/** A list, since tables have neither borders nor space there. The end of a long one is counted. */
function listTasks(tasks: readonly TaskRow[]): string {
  const lines: string[] = [];
  let characters = 0;
  for (const { line } of tasks) {
    characters += line.length + 1;
    if (characters > detailCharacters) break;
    lines.push(line);
  }
  const rest = tasks.slice(lines.length).map(({ view }) => view);
  if (rest.length > 0) lines.push(`- and ${rest.length} more: ${countStatuses(rest)}`);
  return lines.join('\n');
}

function describeTask({ task, status, attempt, reason }: TaskView): string {
  const number = attempt > 1 ? `, attempt ${attempt}` : '';
  const why = reason === undefined ? '' : `: ${plainText(reason, reasonCharacters)}`;
  return `- **${plainText(task, 60)}** ${status}${number}${why}`;
}

function countStatuses(tasks: readonly TaskView[]): string {
  const counts = new Map<string, number>();
  for (const { status } of tasks) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, count]) => `${count} ${status}`).join(', ');
}
