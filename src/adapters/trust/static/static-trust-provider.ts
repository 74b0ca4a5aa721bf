import { z } from 'zod';
import { DomainError } from '../../../core/errors.ts';
import type { Problem } from '../../../core/errors.ts';
import type { TrustProvider, TrustRegistration } from '../../../ports/trust-provider.ts';
import { checkSettings, instant, readSettings } from '../settings/trust-settings.ts';

/** Of a token whose end nobody named: it is used until a target refuses it. */
const endlessMs = Date.UTC(9999, 11, 31);

export const StaticTrustSettings = z.strictObject({ expiresAt: instant.optional() });

/** A token that a person handed over once. Nothing renews it: no keeper is started for it, and when it has expired a person hands over the next. */
export function createStaticTrustProvider(): TrustProvider {
  return {
    kind: 'static',
    checkRegistration,
    draw(settings, signal, credential) {
      return new Promise((resolve) => {
        signal.throwIfAborted();
        const expiresAtMs = readEnd(settings) ?? endlessMs;
        if (credential === undefined) {
          throw new DomainError(
            'trust-revoked',
            'the trust has no token; hand one over: loam trust reconnect NAME < file',
          );
        }
        if (expiresAtMs <= Date.now()) {
          throw new DomainError(
            'trust-expired',
            'its token has expired; hand over the next: loam trust reconnect NAME < file',
          );
        }
        resolve({ token: credential, expiresAtMs });
      });
    },
    endsAtMs: readEnd,
  };
}

const passed = 'has passed: hand over a token that is still good, and say when it expires (loam: --expires-at INSTANT)';
const missing = 'is missing: hand over the token itself (loam: --token-file FILE, or standard input)';

function checkRegistration({ settings, hasCredential }: TrustRegistration): readonly Problem[] {
  const problems = checkSettings(StaticTrustSettings, settings);
  const hasEnded = problems.length === 0 && (readEnd(settings) ?? endlessMs) <= Date.now();
  return [
    ...problems,
    ...(hasEnded ? [{ pointer: '/settings/expiresAt', message: passed }] : []),
    ...(hasCredential ? [] : [{ pointer: '/credential', message: missing }]),
  ];
}

function readEnd(settings: Readonly<Record<string, unknown>>): number | undefined {
  const { expiresAt } = readSettings(StaticTrustSettings, settings);
  return expiresAt === undefined ? undefined : Date.parse(expiresAt);
}
