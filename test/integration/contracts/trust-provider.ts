import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../src/core/errors.ts';
import type { ErrorCode } from '../../../src/core/errors.ts';
import type { Secret } from '../../../src/ports/secret.ts';
import type { DrawnToken, TrustProvider } from '../../../src/ports/trust-provider.ts';

/** A trust as it is registered. */
export interface GivenTrust {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly credential?: Secret;
}

export interface TrustProviderSubject {
  readonly provider: TrustProvider;
  readonly valid: (token: string, lifetimeMs: number) => GivenTrust;
  /** A trust in each state that this provider knows, by the code that it says so with. */
  readonly failing: Readonly<Partial<Record<ErrorCode, () => GivenTrust>>>;
  /** Never answers; undefined when the provider asks nobody. */
  readonly hanging: (() => GivenTrust) | undefined;
}

export function draw(
  provider: TrustProvider,
  { settings, credential }: GivenTrust,
  signal = noAbort,
): Promise<DrawnToken> {
  return provider.draw(settings, signal, credential);
}

const noAbort = new AbortController().signal;

/** The contract of the port TrustProvider. */
export function testTrustProvider(name: string, subject: TrustProviderSubject): void {
  const { provider, valid, failing, hanging } = subject;
  describe(`the trust provider ${name}`, () => {
    it('draws a token with its expiry', async () => {
      const before = Date.now();

      const drawn = await draw(provider, valid('the-token-1', 60_000));

      expect(drawn.token.reveal()).toBe('the-token-1');
      expect(Math.abs(drawn.expiresAtMs - before - 60_000)).toBeLessThan(10_000);
    });

    it('draws several times, also at once', async () => {
      const drawn = await Promise.all(['a-1', 'a-2', 'a-3'].map((token) => draw(provider, valid(token, 60_000))));

      expect(drawn.map(({ token }) => token.reveal())).toEqual(['a-1', 'a-2', 'a-3']);
    });

    it('hides the token from everything that prints it', async () => {
      const drawn = await draw(provider, valid('hidden-token-1', 60_000));

      expect(`${JSON.stringify(drawn)} ${String(drawn.token)}`).not.toContain('hidden-token-1');
    });

    it.each(Object.entries(failing))('says %s', async (code, make) => {
      const error = await draw(provider, make()).catch((thrown: unknown) => thrown);

      expect(error).toBeInstanceOf(DomainError);
      expect(error).toMatchObject({ code });
    });

    it('ends with the reason of the signal when it is aborted', async () => {
      const controller = new AbortController();
      const reason = new Error('no longer wanted');
      if (hanging === undefined) controller.abort(reason); // it answers before anybody could abort

      const drawing = draw(provider, hanging?.() ?? valid('unwanted', 60_000), controller.signal);
      controller.abort(reason);

      await expect(drawing).rejects.toBe(reason);
    });
  });
}
