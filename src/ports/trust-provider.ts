import type { Secret } from './secret.ts';

export interface DrawnToken {
  readonly token: Secret;
  readonly expiresAtMs: number;
}

/** Draws tokens of a trust. `draw` may run twice; each call may give a new token. */
export interface TrustProvider {
  readonly kind: 'exec';
  /**
   * Throws `trust-failed` (try again later), `trust-revoked` or `trust-expired` (a person must act). Messages never contain a token.
   * `settings` is the provider's part of the trust's registration.
   */
  draw(settings: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<DrawnToken>;
}
