import { DomainError } from '../../src/core/errors.ts';
import type { ErrorCode } from '../../src/core/errors.ts';
import { Secret } from '../../src/ports/secret.ts';
import type { DrawnToken, TrustProvider } from '../../src/ports/trust-provider.ts';

interface Draw {
  readonly token: string;
  readonly lifetimeMs: number;
  readonly failure: ErrorCode | undefined;
  /** Answers never. */
  readonly hangs: boolean;
}

/** Gives numbered tokens, or fails as the test says: by the fields, or by the settings of the trust. */
export class FakeTrustProvider implements TrustProvider {
  readonly kind = 'exec';
  lifetimeMs = 2_000;
  failure: ErrorCode | undefined;
  readonly drawnAtMs: number[] = [];
  /** What each draw was given. */
  readonly settings: Readonly<Record<string, unknown>>[] = [];

  checkRegistration(): readonly [] {
    return [];
  }

  async draw(settings: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<DrawnToken> {
    signal.throwIfAborted();
    const draw = this.#plan(settings);
    if (draw.hangs) return untilAborted(signal);
    if (draw.failure !== undefined) throw new DomainError(draw.failure, `the provider says ${draw.failure}`);
    this.settings.push(settings);
    this.drawnAtMs.push(Date.now());
    return { token: new Secret(draw.token), expiresAtMs: Date.now() + draw.lifetimeMs };
  }

  endsAtMs(): undefined {
    return undefined;
  }

  #plan(settings: Readonly<Partial<Draw>>): Draw {
    const token = `canary-token-${this.drawnAtMs.length + 1}`;
    return { token, lifetimeMs: this.lifetimeMs, failure: this.failure, hangs: false, ...settings };
  }
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
