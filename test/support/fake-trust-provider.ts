import { DomainError } from '../../src/core/errors.ts';
import type { ErrorCode } from '../../src/core/errors.ts';
import { Secret } from '../../src/ports/secret.ts';
import type { DrawnToken, TrustProvider } from '../../src/ports/trust-provider.ts';

/** Gives numbered tokens, or fails as the test says. */
export class FakeTrustProvider implements TrustProvider {
  readonly kind = 'exec';
  lifetimeMs = 2_000;
  failure: ErrorCode | undefined;
  readonly drawnAtMs: number[] = [];
  /** What each draw was given. */
  readonly settings: Readonly<Record<string, unknown>>[] = [];

  async draw(settings: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<DrawnToken> {
    signal.throwIfAborted();
    if (this.failure !== undefined) throw new DomainError(this.failure, `the provider says ${this.failure}`);
    this.settings.push(settings);
    this.drawnAtMs.push(Date.now());
    const token = new Secret(`canary-token-${this.drawnAtMs.length}`);
    return Promise.resolve({ token, expiresAtMs: Date.now() + this.lifetimeMs });
  }
}
