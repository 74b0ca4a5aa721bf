import { createHmac } from 'node:crypto';

/** As forges sign their webhooks: the value of the header x-hub-signature-256. */
export function signWith(secret: string, text: string): string {
  return `sha256=${createHmac('sha256', secret).update(text).digest('hex')}`;
}
