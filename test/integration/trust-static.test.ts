import { describe, expect, it } from 'vitest';
import { createStaticTrustProvider } from '../../src/adapters/trust/static/static-trust-provider.ts';
import { Secret } from '../../src/ports/secret.ts';
import { draw, testTrustProvider } from './contracts/trust-provider.ts';

const provider = createStaticTrustProvider();
const credential = new Secret('handed-over');

function endingIn(ms: number): Readonly<Record<string, unknown>> {
  return { expiresAt: new Date(Date.now() + ms).toISOString() };
}

testTrustProvider('static', {
  provider,
  valid: (token, lifetimeMs) => ({ settings: endingIn(lifetimeMs), credential: new Secret(token) }),
  failing: {
    'trust-revoked': () => ({ settings: {} }),
    'trust-expired': () => ({ settings: endingIn(-1_000), credential }),
  },
  hanging: undefined,
});

describe('a static trust', () => {
  it('whose end nobody named has none', async () => {
    const { expiresAtMs } = await draw(provider, { settings: {}, credential });

    expect(new Date(expiresAtMs).getUTCFullYear()).toBe(9999);
    expect(provider.endsAtMs({})).toBeUndefined();
    expect(provider.endsAtMs({ expiresAt: '2030-01-01T00:00:00Z' })).toBe(Date.UTC(2030, 0, 1));
  });

  it.each([
    ['a token among its settings', { token: 'open' }],
    ['a date without a zone', { expiresAt: '2030-01-01T00:00:00' }],
  ])('is refused with %s', async (_case, settings) => {
    await expect(draw(provider, { settings, credential })).rejects.toMatchObject({ code: 'input-invalid' });
  });

  it.each([
    ['nothing wrong with it', endingIn(60_000), true, []],
    ['no end', {}, true, []],
    ['no token', endingIn(60_000), false, ['/credential']],
    ['an end that has passed, and no token', endingIn(-1_000), false, ['/settings/expiresAt', '/credential']],
    ['an end that is none', { expiresAt: 'tomorrow' }, true, ['/settings/expiresAt']],
  ])('with %s is registered as far as it can work', (_case, settings, hasCredential, places) => {
    const problems = provider.checkRegistration({ settings, hasCredential });

    expect(problems.map(({ pointer }) => pointer)).toEqual(places);
  });
});
