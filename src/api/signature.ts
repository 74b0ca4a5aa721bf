import { createHmac, timingSafeEqual } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import type { Secret } from '../ports/secret.ts';

const pattern = /^sha256=([0-9a-f]{64})$/;
const nothing = '0'.repeat(64);

/** The value of `X-Hub-Signature-256`: HMAC-SHA-256 over the body as it came. */
export function signBody(secret: Secret, body: Uint8Array | string): string {
  return `sha256=${createHmac('sha256', secret.reveal()).update(body).digest('hex')}`;
}

/** In constant time; a malformed signature takes the same way as a wrong one. An empty secret signs nothing. */
export function isSignedBy(secret: Secret, body: Uint8Array | string, signature: string | undefined): boolean {
  const [, hex] = pattern.exec(signature ?? '') ?? [];
  const expected = createHmac('sha256', secret.reveal()).update(body).digest();
  const isEqual = timingSafeEqual(expected, Buffer.from(hex ?? nothing, 'hex'));
  return isEqual && hex !== undefined && secret.reveal() !== '';
}

/** The three headers of Standard Webhooks. */
export interface WebhookHeaders {
  readonly 'webhook-id': string;
  /** Seconds since 1970; five minutes off and the signature is refused. */
  readonly 'webhook-timestamp': string;
  readonly 'webhook-signature': string;
}

/** As a relay signs what it forwards: with the time of this attempt, under the id that all attempts share. */
export function signWebhook(secret: Secret, id: string, body: Buffer, now: Date): WebhookHeaders {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
    'webhook-signature': open(secret).sign(id, now, body),
  };
}

/** The library reads the body as text: bytes that are not UTF-8 all look alike to it, so who accepts one of them must refuse such a body (`parseJson` does). */
export function isSignedWebhook(secret: Secret, body: Buffer, headers: WebhookHeaders): boolean {
  if (secret.reveal() === '') return false;
  try {
    open(secret).verify(body, { ...headers }, { jsonParse: false });
    return true;
  } catch {
    return false;
  }
}

function open(secret: Secret): Webhook {
  return new Webhook(Buffer.from(secret.reveal()), { format: 'raw' });
}
