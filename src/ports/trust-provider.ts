import type { Problem } from '../core/errors.ts';
import type { Secret } from './secret.ts';
import type { Trust } from './credential-store.ts';

export interface DrawnToken {
  readonly token: Secret;
  readonly expiresAtMs: number;
}

export interface TrustRegistration {
  readonly settings: Readonly<Record<string, unknown>>;
  /** Whether a secret was handed over, with this registration or an earlier one of the trust. */
  readonly hasCredential: boolean;
}

/** Draws tokens of a trust. `draw` may run twice; each call may give a new token. */
export interface TrustProvider {
  readonly kind: Trust['provider'];
  /** What is wrong with a registration at this moment, each with a pointer into it (`/settings/...`, `/credential`); nothing when it can be stored. */
  checkRegistration(registration: TrustRegistration): readonly Problem[];
  /**
   * Throws `trust-failed` (try again later), or what only a person can mend: `trust-revoked`, `trust-expired`, `trustor-disabled`, `trust-role-lost`.
   * Messages never contain a token. `settings` is the provider's part of the trust's registration, `credential` the secret that a person handed over with it.
   */
  draw(
    settings: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
    credential: Secret | undefined,
  ): Promise<DrawnToken>;
  /** When the trust itself ends, whatever is drawn from it until then; undefined when its registration does not say. */
  endsAtMs(settings: Readonly<Record<string, unknown>>): number | undefined;
}
