import { ActivityFailure } from '@temporalio/workflow';
import type { RecordInput } from '../activities/types.ts';
import type { RunId } from '../src/core/model/ids.ts';
import { loam } from './options.ts';

export type Note = Partial<Omit<RecordInput, 'run'>>;
type Unsent = Required<Omit<Note, 'status'>> & Pick<Note, 'status'>;

const nothing: Unsent = { tasks: [], gates: [], warnings: [] };

/**
 * What the run says about itself in the database, beside what activities write: one message at a time, all that has gathered in it, never waited for while
 * there is something to do.
 */
export class Recorder {
  readonly #run: RunId;
  #unsent = nothing;
  #sending: Promise<void> | undefined;

  constructor(run: RunId) {
    this.#run = run;
  }

  add(note: Note): void {
    this.#unsent = merge(this.#unsent, note);
  }

  /** Something has gathered, and no message is under way that it would follow. */
  isDue(): boolean {
    return this.#sending === undefined && !isEmpty(this.#unsent);
  }

  /** Sends what has gathered, unless a message is under way: then it follows that one. */
  async flush(): Promise<void> {
    if (!this.isDue()) return;
    this.#sending = this.#send();
    await this.#sending;
  }

  /** For the end of the run: what is left over for its last message. */
  async drain(): Promise<RecordInput['tasks']> {
    await this.#sending;
    const { gates, warnings } = this.#unsent;
    if (gates.length + warnings.length > 0) await this.#send(); // `finish` has no place for these
    return this.#unsent.tasks;
  }

  async #send(): Promise<void> {
    while (!isEmpty(this.#unsent)) {
      const note = this.#unsent;
      this.#unsent = nothing;
      const input = inputOf(this.#run, note);
      try {
        await loam.record.executeWithOptions({ summary: summarize(input) }, [input]);
      } catch (error) {
        // Refused for good: the rows are behind, the run is not. `finish` tries the tasks once more.
        if (!(error instanceof ActivityFailure)) throw error;
        this.#unsent = merge({ ...nothing, tasks: note.tasks }, this.#unsent);
        break;
      }
    }
    this.#sending = undefined;
  }
}

function isEmpty({ tasks, gates, warnings, status }: Unsent): boolean {
  return tasks.length + gates.length + warnings.length === 0 && status === undefined;
}

/** Of a task and of the run only the newest word counts. */
function merge(old: Unsent, { tasks = [], gates = [], warnings = [], status = old.status }: Note): Unsent {
  const names = new Set(tasks.map(({ task }) => task));
  return {
    tasks: [...old.tasks.filter(({ task }) => !names.has(task)), ...tasks],
    gates: [...old.gates, ...gates],
    warnings: [...old.warnings, ...warnings],
    ...(status && { status }),
  };
}

function inputOf(run: RunId, { tasks, gates, warnings, status }: Unsent): RecordInput {
  return {
    ...{ run, tasks },
    ...(gates.length > 0 && { gates }),
    ...(warnings.length > 0 && { warnings }),
    ...(status && { status }),
  };
}

function summarize({ tasks, status }: RecordInput): string {
  const [first] = tasks;
  if (first === undefined) return `run is ${status?.status ?? 'noted'}`;
  const rest = tasks.length === 1 ? '' : ` and ${tasks.length - 1} more`;
  return `${first.task} is ${first.status}${rest}`;
}
