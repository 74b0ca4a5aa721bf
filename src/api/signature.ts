import { createHmac, timingSafeEqual } from 'node:crypto';
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
