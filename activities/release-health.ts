import { DomainError } from '../src/core/errors.ts';
import { createMasker } from '../src/core/log/masker.ts';
import type { Secret } from '../src/ports/secret.ts';
import type { ReleaseSpec } from '../src/ports/target.ts';
import { note } from './deploy-steps.ts';
import type { Rollout } from './deploy-steps.ts';

const minTimeoutMs = 1_000;
const shownLines = 40;

/** Waits for the new release, at most as long as the task has left. Throws `deploy-unhealthy`; the task's log gets the application's last lines. */
export async function awaitHealth(rollout: Rollout, spec: ReleaseSpec): Promise<void> {
  const { room, release, reference, signal } = rollout;
  const leftMs = rollout.startedAtMs + rollout.timeoutMs - room.clock.nowMs();
  const timeoutMs = Math.max(minTimeoutMs, Math.min(room.limits.healthTimeoutMs, leftMs));
  const health = await rollout.target.awaitHealthy(reference, { timeoutMs, signal });
  if (health.type === 'healthy') {
    await note(rollout, `release ${release.number} is healthy`);
    return;
  }
  const secrets = [...Object.values(spec.secrets), ...(spec.trustToken === undefined ? [] : [spec.trustToken])];
  const lines = mask(health.output, secrets)
    .split('\n')
    .filter((line) => line.trim() !== '');
  for (const line of lines.slice(-shownLines)) await note(rollout, `| ${line}`);
  throw new DomainError(
    'deploy-unhealthy',
    `release ${release.number} did not become healthy: ${mask(health.reason, secrets)}`,
  );
}

/** I7: an application may print what it was given. */
function mask(text: string, secrets: readonly Secret[]): string {
  const masker = createMasker(secrets, 0);
  const decoder = new TextDecoder();
  const begin = decoder.decode(masker.push(new TextEncoder().encode(text)).text, { stream: true });
  return begin + decoder.decode(masker.flush().text);
}
