// I7, I10 of activities/boundary.ts
import { CancelledFailure } from '@temporalio/activity';
import { ActivityCancellationDetails } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { guardActivities } from '../../../activities/boundary.ts';
import { DomainError } from '../../../src/core/errors.ts';
import { makeEnvironment } from '../../support/activity-room.ts';

const lines: string[] = [];
const log = (fields: object, message: string) => void lines.push(JSON.stringify({ ...fields, message }));
const logger = { debug: log, info: log, warn: log, error: log };

function run(
  handler: (input: unknown) => Promise<unknown>,
  input: unknown = {},
  environment = makeEnvironment(),
): Promise<unknown> {
  const { probe } = guardActivities({ probe: handler }, logger);
  return environment.run(probe, input);
}

describe('guardActivities', () => {
  it('gives an expected error its code, plain details, and no retry', async () => {
    const error = new DomainError('plan-invalid', 'x'.repeat(5_000), {
      details: { line: 3 },
      problems: [{ pointer: '/workflow', message: 'empty' }],
    });

    const failure = run(() => Promise.reject(error));

    await expect(failure).rejects.toMatchObject({
      type: 'plan-invalid',
      nonRetryable: true,
      category: 'BENIGN',
      details: [{ line: 3, problems: [{ pointer: '/workflow', message: 'empty' }] }],
    });
    await expect(failure).rejects.toHaveProperty('message.length', 1_000);
  });

  it('lets Temporal retry what the catalogue calls retryable', async () => {
    const failure = run(() => Promise.reject(new DomainError('store-unavailable', 'busy')));

    await expect(failure).rejects.toMatchObject({ type: 'store-unavailable', nonRetryable: false });
  });

  it('keeps the text of an unknown error out of history, and gives it up after five attempts (I7)', async () => {
    const broken = () => Promise.reject(new TypeError('canary-secret'));

    await expect(run(broken)).rejects.toMatchObject({
      type: 'internal',
      nonRetryable: false,
      message: "unexpected TypeError; the worker's log says more",
    });
    await expect(run(broken, {}, makeEnvironment({ attempt: 5 }))).rejects.toMatchObject({ nonRetryable: true });
  });

  it('warns of large payloads and refuses those over 256 kB, in both directions (I10)', async () => {
    const large = 'x'.repeat(70 * 1024);
    const huge = 'x'.repeat(257 * 1024);

    expect(await run(() => Promise.resolve(large), { run: 'thingy/1', task: { name: 'test' } })).toBe(large);
    await expect(run(() => Promise.resolve(huge))).rejects.toMatchObject({
      type: 'payload-too-large',
      nonRetryable: true,
    });
    await expect(run(() => Promise.resolve('small'), { huge })).rejects.toMatchObject({ type: 'payload-too-large' });

    const warning = lines.find((line) => line.includes('activity payload is large'));
    expect(JSON.parse(warning ?? '{}')).toMatchObject({ runId: 'thingy/1', task: 'test', direction: 'result' });
  });

  it('tells a cancel from a stop of the worker, whatever a port makes of the abort', async () => {
    const aborted = () => Promise.reject(new DOMException('This operation was aborted', 'AbortError'));
    const cancelled = makeEnvironment();
    cancelled.cancel();
    const stopped = makeEnvironment();
    stopped.cancel('WORKER_SHUTDOWN', new ActivityCancellationDetails({ workerShutdown: true }));

    await expect(run(aborted, {}, cancelled)).rejects.toBeInstanceOf(CancelledFailure);
    await expect(run(aborted, {}, stopped)).rejects.toMatchObject({ type: 'host-lost', nonRetryable: false });
  });
});
