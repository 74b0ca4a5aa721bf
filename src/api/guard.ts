// Who calls, and how often (I10). Failed logins are counted by address: past the limit no token from there is looked at any more, but those that have worked.
import { createHash } from 'node:crypto';
import type { Request } from 'express';
import { DomainError } from '../core/errors.ts';
import type { Logger } from '../ports/logger.ts';
import type { Token, TokenStore } from '../ports/credential-store.ts';
import { authenticate } from './authenticate.ts';
import { RateLimit, addressOf } from './rate-limit.ts';
import type { Access } from './route.ts';

export interface Limits {
  /** Calls of one token, and without a token of one address; on average, bursts may be ten times as large. */
  readonly perSecond: number;
  /** Tokens that nobody has, and signatures that do not fit, of one address. */
  readonly failuresPerMinute: number;
}

const windowSeconds = 10;
const maxKnown = 10_000;

export class Guard {
  readonly #calls: RateLimit;
  readonly #failures: RateLimit;
  readonly #logger: Logger;
  /** Address and token of callers that were let in; the newest is the last. */
  readonly #known = new Set<string>();

  constructor({ perSecond, failuresPerMinute }: Limits, logger: Logger) {
    this.#logger = logger;
    this.#calls = new RateLimit({
      calls: perSecond * windowSeconds,
      seconds: windowSeconds,
      message: `At most ${perSecond * windowSeconds} calls in ${windowSeconds} seconds are answered`,
    });
    this.#failures = new RateLimit({
      calls: failuresPerMinute,
      seconds: 60,
      message: 'Too many calls with a wrong token or signature came from this address',
    });
  }

  /** Throws `unauthenticated`, `rate-limited`. What is signed is limited by `signed`: only the handler knows whether the signature fits. */
  async identify(tokens: TokenStore, request: Request, access: Access): Promise<Token | undefined> {
    if (access === 'trigger') return undefined;
    const address = addressOf(request);
    if (access !== 'public') return this.#login(address, tokens, request, access);
    await this.#calls.take(`address ${address}`);
    return undefined;
  }

  async #login(address: string, tokens: TokenStore, request: Request, access: Access): Promise<Token | undefined> {
    const failures = `login ${address}`;
    const caller = createHash('sha256')
      .update(`${address} ${request.headers.authorization ?? ''}`)
      .digest('hex');
    if (!this.#known.has(caller)) await this.#failures.demand(failures);
    const token = await authenticate(tokens, request, access).catch((error: unknown) => {
      this.#known.delete(caller);
      return this.#fail(failures, error);
    });
    this.#remember(caller);
    if (token !== undefined) await this.#calls.take(`token ${token.name}`);
    return token;
  }

  #remember(caller: string): void {
    this.#known.delete(caller);
    this.#known.add(caller);
    if (this.#known.size <= maxKnown) return;
    const [oldest = ''] = this.#known;
    this.#known.delete(oldest);
  }

  /** A delivery that is signed rightly is never refused: others may send from the same address (a forge's, a proxy's), and it may not come again (I1). */
  async signed<Answer>(request: Request, work: () => Promise<Answer>): Promise<Answer> {
    return work().catch((error: unknown) => this.#fail(`signature ${addressOf(request)}`, error));
  }

  async #fail(key: string, error: unknown): Promise<never> {
    if (error instanceof DomainError && (error.code === 'unauthenticated' || error.code === 'signature-invalid')) {
      this.#logger.debug({ key, code: error.code }, 'call refused');
      await this.#failures.take(key);
    }
    throw error;
  }
}
