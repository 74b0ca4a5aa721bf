import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../src/core/errors.ts';
import type { TrustProvider } from '../../../src/ports/trust-provider.ts';

export interface TrustProviderSubject {
  readonly provider: TrustProvider;
  /** Settings of a trust in each state. */
  readonly settings: {
    valid(token: string, lifetimeMs: number): Readonly<Record<string, unknown>>;
    revoked(): Readonly<Record<string, unknown>>;
    expired(): Readonly<Record<string, unknown>>;
    unreachable(): Readonly<Record<string, unknown>>;
    /** Never answers. */
    hanging(): Readonly<Record<string, unknown>>;
  };
}

/** The contract of the port TrustProvider. */
export function testTrustProvider(name: string, makeSubject: () => TrustProviderSubject): void {
  describe(`the trust provider ${name}`, () => {
    const noAbort = new AbortController().signal;

    it('draws a token with its expiry', async () => {
      const { provider, settings } = makeSubject();
      const before = Date.now();

      const drawn = await provider.draw(settings.valid('the-token-1', 60_000), noAbort);

      expect(drawn.token.reveal()).toBe('the-token-1');
      expect(Math.abs(drawn.expiresAtMs - before - 60_000)).toBeLessThan(10_000);
    });

    it('draws several times, also at once', async () => {
      const { provider, settings } = makeSubject();

      const drawn = await Promise.all(
        ['a-1', 'a-2', 'a-3'].map((token) => provider.draw(settings.valid(token, 60_000), noAbort)),
      );

      expect(drawn.map(({ token }) => token.reveal())).toEqual(['a-1', 'a-2', 'a-3']);
    });

    it('hides the token from everything that prints it', async () => {
      const { provider, settings } = makeSubject();

      const drawn = await provider.draw(settings.valid('hidden-token-1', 60_000), noAbort);

      expect(`${JSON.stringify(drawn)} ${String(drawn.token)}`).not.toContain('hidden-token-1');
    });

    it.each([
      ['revoked', 'trust-revoked'],
      ['expired', 'trust-expired'],
      ['unreachable', 'trust-failed'],
    ] as const)('says that a trust is %s with the code %s', async (state, code) => {
      const { provider, settings } = makeSubject();

      const error = await provider.draw(settings[state](), noAbort).catch((thrown: unknown) => thrown);

      expect(error).toBeInstanceOf(DomainError);
      expect(error).toMatchObject({ code });
    });

    it('ends with the reason of the signal when it is aborted', async () => {
      const { provider, settings } = makeSubject();
      const controller = new AbortController();
      const reason = new Error('no longer wanted');

      const drawing = provider.draw(settings.hanging(), controller.signal);
      controller.abort(reason);

      await expect(drawing).rejects.toBe(reason);
    });
  });
}
