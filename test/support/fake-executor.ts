import { DomainError } from '../../src/core/errors.ts';
import type { Executor, JobEnd, JobKey, JobOutput, JobSpec } from '../../src/ports/executor.ts';

export interface FakeJob {
  readonly spec: JobSpec;
  output: Uint8Array;
  end: JobEnd | undefined;
  readonly files: Map<string, string>;
}

/** An executor whose jobs are played by the test: they write and end when it says so, and survive whoever follows them. */
export class FakeExecutor implements Executor {
  readonly kind = 'process';
  readonly limits: readonly string[];
  readonly jobs = new Map<string, FakeJob>();
  readonly stopped: JobKey[] = [];
  /** What a new job does at once. */
  onStart: (job: FakeJob) => void = () => undefined;
  startCalls = 0;
  readonly #changed = new Set<() => void>();

  constructor(limits: readonly string[] = []) {
    this.limits = limits;
  }

  async start(spec: JobSpec): Promise<{ readonly created: boolean }> {
    this.startCalls += 1;
    const name = nameOf(spec.key);
    if (this.jobs.has(name)) return { created: false };
    const job: FakeJob = { spec, output: new Uint8Array(), end: undefined, files: new Map() };
    this.jobs.set(name, job);
    this.onStart(job);
    return Promise.resolve({ created: true });
  }

  async attach(key: JobKey, { fromOffset, signal, onOutput }: Parameters<Executor['attach']>[1]): Promise<JobEnd> {
    let offset = fromOffset;
    for (;;) {
      signal.throwIfAborted();
      const job = this.jobs.get(nameOf(key));
      if (job === undefined) throw new DomainError('not-found', `no job ${nameOf(key)}`);
      const output: JobOutput = { offset, bytes: job.output.slice(offset) };
      if (output.bytes.byteLength > 0) {
        offset += output.bytes.byteLength;
        await onOutput(output);
      } else if (job.end !== undefined) return job.end;
      else await this.#change(signal);
    }
  }

  async stop(key: JobKey): Promise<void> {
    this.stopped.push(key);
    this.end(key, { type: 'stopped' });
    return Promise.resolve();
  }

  async collect(key: JobKey, name: string): Promise<string | undefined> {
    if (['', '.', '..'].includes(name) || /[/\0]/.test(name)) throw new DomainError('input-invalid', name);
    const path = `${nameOf(key)}:${name}`;
    return Promise.resolve(this.jobs.get(nameOf(key))?.files.has(name) === true ? path : undefined);
  }

  async remove(key: JobKey): Promise<void> {
    this.jobs.delete(nameOf(key));
    this.#tell();
    return Promise.resolve();
  }

  async list(): Promise<readonly JobKey[]> {
    return Promise.resolve([...this.jobs.values()].map(({ spec }) => spec.key));
  }

  write(key: JobKey, text: string): void {
    const job = this.#find(key);
    job.output = new Uint8Array([...job.output, ...new TextEncoder().encode(text)]);
    this.#tell();
  }

  end(key: JobKey, end: JobEnd): void {
    const job = this.jobs.get(nameOf(key));
    if (job !== undefined) job.end ??= end;
    this.#tell();
  }

  /** For `openFile` of the activities: the content that the test put into `files`. */
  async *openFile(path: string): AsyncGenerator<Uint8Array> {
    for (const [name, job] of this.jobs) {
      for (const [file, content] of job.files) {
        if (path === `${name}:${file}`) yield Promise.resolve(new TextEncoder().encode(content));
      }
    }
  }

  #find(key: JobKey): FakeJob {
    const job = this.jobs.get(nameOf(key));
    if (job === undefined) throw new Error(`no job ${nameOf(key)}`);
    return job;
  }

  #tell(): void {
    for (const wake of this.#changed) wake();
  }

  async #change(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const wake = () => resolve(undefined);
    this.#changed.add(wake);
    signal.addEventListener('abort', wake, { once: true });
    await promise;
    this.#changed.delete(wake);
    signal.removeEventListener('abort', wake);
  }
}

export function nameOf({ run, task, attempt }: JobKey): string {
  return `${run}/${task}#${attempt}`;
}
