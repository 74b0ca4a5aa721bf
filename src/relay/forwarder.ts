// I1: what was answered 202 is forwarded until it is taken or clearly refused. In order per trigger, and so per repository; triggers go side by side.
import { DomainError } from '../core/errors.ts';
import { judgeForward, readRetryAfter, retryDelayMs } from '../core/model/forwarding.ts';
import type { Logger } from '../ports/logger.ts';
import { signWebhook } from '../api/signature.ts';
import type { Letter, RelaySpool } from './spool.ts';
import type { FindSecret } from './triggers.ts';

export interface ForwarderOptions {
  readonly spool: RelaySpool;
  readonly findSecret: FindSecret;
  /** Of the API, without a slash at its end. */
  readonly apiUrl: string;
  readonly logger: Logger;
}

export interface Forwarder {
  /** There is something new in the spool. */
  wake(): void;
  /** Resolves when the attempts that are under way were cut off; what they brought is forwarded again and is known there. */
  stop(): Promise<void>;
}

type Outcome = { readonly type: 'ended' } | { readonly type: 'retry'; readonly askedMs: number | undefined };

const ended: Outcome = { type: 'ended' };
const attemptTimeoutMs = 30_000;
/** Also for letters that the command line has put back. */
const pollMs = 1_000;

export function startForwarder(options: ForwarderOptions): Forwarder {
  const { spool, logger } = options;
  const stopping = new AbortController();
  const lanes = new Map<string, Promise<void>>();
  const pauses = createPauses(wake);
  let sweeping: Promise<void> | undefined;
  let isWanted = false;

  async function drain(trigger: string, letters: readonly Letter[]): Promise<void> {
    for (const letter of letters) {
      if (stopping.signal.aborted) return;
      const outcome = await forward(options, letter, stopping.signal);
      if (outcome.type === 'retry') {
        pauses.begin(trigger, outcome.askedMs);
        return; // the ones behind it keep their order and wait too
      }
      pauses.forget(trigger);
    }
  }

  async function sweep(): Promise<void> {
    while (isWanted && !stopping.signal.aborted) {
      isWanted = false;
      const byTrigger = Map.groupBy(await spool.waiting(), ({ trigger }) => trigger);
      for (const [trigger, letters] of byTrigger) {
        if (lanes.has(trigger) || pauses.has(trigger)) continue;
        lanes.set(trigger, runLane(trigger, letters));
      }
    }
  }

  async function runLane(trigger: string, letters: readonly Letter[]): Promise<void> {
    try {
      await drain(trigger, letters);
    } catch (error) {
      logger.error({ trigger, error }, 'spool cannot be worked on');
      pauses.begin(trigger, undefined);
    }
    lanes.delete(trigger);
    wake();
  }

  function wake(): void {
    isWanted = true;
    sweeping ??= sweep()
      .catch((error: unknown) => logger.error({ error }, 'spool cannot be read'))
      .finally(() => (sweeping = undefined));
  }

  const timer = setInterval(wake, pollMs);
  wake();
  return {
    wake,
    stop: async () => {
      clearInterval(timer);
      stopping.abort();
      await sweeping;
      await Promise.all(lanes.values());
    },
  };
}

interface Pauses {
  has(trigger: string): boolean;
  /** After a failure; longer with each that follows. */
  begin(trigger: string, askedMs: number | undefined): void;
  /** It works: the next failure is a first one. */
  forget(trigger: string): void;
}

function createPauses(wake: () => void): Pauses {
  const failures = new Map<string, number>();
  const paused = new Set<string>();
  return {
    has: (trigger) => paused.has(trigger),
    begin: (trigger, askedMs) => {
      const count = (failures.get(trigger) ?? 0) + 1;
      failures.set(trigger, count);
      paused.add(trigger);
      const end = (): void => {
        paused.delete(trigger);
        wake();
      };
      setTimeout(end, retryDelayMs(count, Math.random(), askedMs)).unref();
    },
    forget: (trigger) => void failures.delete(trigger),
  };
}

/** One attempt. */
async function forward(options: ForwarderOptions, letter: Letter, stopping: AbortSignal): Promise<Outcome> {
  const { spool, logger } = options;
  const fields = { delivery: letter.delivery, trigger: letter.trigger };
  try {
    const answer = await post(options, letter, stopping);
    if (answer === undefined) return ended; // somebody has dropped it meanwhile
    const judgement = judgeForward(answer.status);
    if (judgement === 'retry') {
      logger.warn({ ...fields, status: answer.status }, 'delivery is forwarded later');
      return { type: 'retry', askedMs: readRetryAfter(answer.headers.get('retry-after'), Date.now()) };
    }
    const text = (await answer.text()).slice(0, 2_000);
    if (judgement === 'done') await spool.remove(letter);
    else await spool.bury(letter, `status ${answer.status}: ${text}`);
    logger.info({ ...fields, status: answer.status }, judgement === 'done' ? 'delivery forwarded' : 'delivery refused');
    return ended;
  } catch (error) {
    if (error instanceof DomainError && error.code === 'input-invalid') {
      await spool.bury(letter, `${error.code}: ${error.message}`);
      logger.error({ ...fields, reason: error.message }, 'delivery cannot be read');
      return ended;
    }
    if (!stopping.aborted) logger.warn({ ...fields, reason: describe(error) }, 'delivery is forwarded later');
    return { type: 'retry', askedMs: undefined };
  }
}

async function post(
  { spool, findSecret, apiUrl }: ForwarderOptions,
  letter: Letter,
  stopping: AbortSignal,
): Promise<Response | undefined> {
  const spooled = await spool.read(letter);
  if (spooled === undefined) return undefined;
  const secret = await findSecret(letter.trigger);
  if (secret === undefined) throw new Error('the file of triggers does not name this trigger any more');
  return fetch(`${apiUrl}/v1/triggers/${letter.trigger}`, {
    method: 'POST',
    headers: { ...spooled.headers, ...signWebhook(secret, letter.delivery, spooled.body, new Date()) },
    body: new Uint8Array(spooled.body),
    redirect: 'manual',
    signal: AbortSignal.any([stopping, AbortSignal.timeout(attemptTimeoutMs)]),
  });
}

/** `fetch failed` alone says nothing. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
