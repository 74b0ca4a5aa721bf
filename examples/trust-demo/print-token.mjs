#!/usr/bin/env node
// A trust provider for demonstrations: prints a token that expires soon, as a real one would after asking its identity service.
// Arguments: [lifetime in seconds, default 60]. Register it with absolute paths:
//   loam trust put demo --command "$(command -v node)" --command "$PWD/examples/trust-demo/print-token.mjs"
// A real program talks to your identity service here and ends with
//   0   after printing {"token": "...", "expires_at": "<ISO 8601>"} (or "expires_in": <seconds>) on standard output,
//   77  when the delegation was revoked, 78 when it has expired: a person must reconnect,
//   any other code when it failed for now: Loam tries again. What it writes on standard error is shown, masked and cut.
import { randomBytes } from 'node:crypto';

const seconds = Number(process.argv[2] ?? 60);
if (!Number.isFinite(seconds) || seconds <= 0) {
  process.stderr.write('the lifetime must be a positive number of seconds\n');
  process.exit(2);
}
const token = `demo-${randomBytes(18).toString('base64url')}`;
const expiresAt = new Date(Date.now() + seconds * 1000).toISOString();
process.stdout.write(`${JSON.stringify({ token, expires_at: expiresAt })}\n`);
