import { DomainError } from '../../src/core/errors.ts';
import type { ApplicationName, EnvironmentName } from '../../src/core/model/ids.ts';
import type { Health, ReleaseReference, ReleaseSpec, Target } from '../../src/ports/target.ts';

/** A target in memory: what runs, what serves, and an order of what was done. */
export class FakeTarget implements Target {
  readonly kind = 'process';
  readonly running = new Map<string, ReleaseReference>();
  readonly specs: ReleaseSpec[] = [];
  readonly done: string[] = [];
  readonly #live = new Map<string, ReleaseReference>();
  health: (reference: ReleaseReference) => Health | 'never' = () => ({ type: 'healthy' });

  async start(spec: ReleaseSpec, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const name = nameOf(spec.reference);
    if (this.running.has(name)) return Promise.resolve();
    this.running.set(name, spec.reference);
    this.specs.push(spec);
    this.done.push(`start ${name}`);
    return Promise.resolve();
  }

  async awaitHealthy(reference: ReleaseReference, { signal }: Parameters<Target['awaitHealthy']>[1]): Promise<Health> {
    this.#find(reference);
    signal.throwIfAborted();
    const health = this.health(reference);
    if (health !== 'never') return Promise.resolve(health);
    return new Promise((_, reject) => {
      const abort = () => reject(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  async switchTo(reference: ReleaseReference): Promise<{ readonly url: string }> {
    const name = this.#find(reference);
    const place = placeOf(reference.application, reference.environment);
    if (nameOf(this.#live.get(place)) !== name) this.done.push(`switch ${name}`);
    this.#live.set(place, reference);
    return Promise.resolve({ url: `http://front/${reference.environment}` });
  }

  async retire(reference: ReleaseReference): Promise<void> {
    const name = nameOf(reference);
    const place = placeOf(reference.application, reference.environment);
    if (nameOf(this.#live.get(place)) === name) throw new DomainError('internal', `${name} serves`);
    if (this.running.delete(name)) this.done.push(`retire ${name}`);
    return Promise.resolve();
  }

  async live(application: ApplicationName, environment: EnvironmentName): Promise<ReleaseReference | undefined> {
    return Promise.resolve(this.#live.get(placeOf(application, environment)));
  }

  socketPath(frontPort: number): string {
    return `/front/${frontPort}.sock`;
  }

  async list(application: ApplicationName, environment: EnvironmentName): Promise<readonly ReleaseReference[]> {
    const all = [...this.running.values()];
    return Promise.resolve(all.filter((one) => one.application === application && one.environment === environment));
  }

  #find(reference: ReleaseReference): string {
    const name = nameOf(reference);
    if (!this.running.has(name)) throw new DomainError('internal', `${name} does not run`);
    return name;
  }
}

function placeOf(application: ApplicationName, environment: EnvironmentName): string {
  return `${application}/${environment}`;
}

function nameOf(reference: ReleaseReference | undefined): string {
  return reference === undefined ? '' : `${reference.environment}/${reference.release}-${reference.fence}`;
}
