import type { Executor, JobEnd, JobKey, JobSpec } from '../../../ports/executor.ts';

/** Begins jobs with the first executor, and goes on with what the other began: an engine that came or went between two workers costs no job (I2). */
export class ExecutorSwitch implements Executor {
  readonly #first: Executor;
  readonly #other: Executor;

  constructor(first: Executor, other: Executor) {
    this.#first = first;
    this.#other = other;
  }

  get kind(): Executor['kind'] {
    return this.#first.kind;
  }

  get limits(): readonly string[] {
    return this.#first.limits;
  }

  async start(job: JobSpec): Promise<{ readonly created: boolean }> {
    return (await this.#of(job.key)).start(job);
  }

  async attach(key: JobKey, options: Parameters<Executor['attach']>[1]): Promise<JobEnd> {
    return (await this.#of(key)).attach(key, options);
  }

  async stop(key: JobKey, graceMs: number): Promise<void> {
    await (await this.#of(key)).stop(key, graceMs);
  }

  async collect(key: JobKey, name: string): Promise<string | undefined> {
    return (await this.#of(key)).collect(key, name);
  }

  async remove(key: JobKey): Promise<void> {
    await (await this.#of(key)).remove(key);
  }

  async list(): Promise<readonly JobKey[]> {
    return [...(await this.#first.list()), ...(await this.#other.list())];
  }

  async #of({ run, task, attempt }: JobKey): Promise<Executor> {
    const begun = await this.#other.list();
    const isOthers = begun.some((key) => key.run === run && key.task === task && key.attempt === attempt);
    return isOthers ? this.#other : this.#first;
  }
}
