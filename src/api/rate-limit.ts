// I10: who calls without end is told to wait. Kept in memory: each process of a door counts for itself (ADR 0013).
import type { Request } from 'express';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { DomainError } from '../core/errors.ts';

export interface RateLimitOptions {
  readonly calls: number;
  readonly seconds: number;
  /** What is told to who has used them up. */
  readonly message: string;
}

export class RateLimit {
  readonly #limiter: RateLimiterMemory;
  readonly #message: string;

  constructor({ calls, seconds, message }: RateLimitOptions) {
    this.#limiter = new RateLimiterMemory({ points: calls, duration: seconds });
    this.#message = message;
  }

  /** Counts a call. Throws `rate-limited`. */
  async take(key: string): Promise<void> {
    try {
      await this.#limiter.consume(key);
    } catch (error) {
      throw error instanceof RateLimiterRes ? this.#refusal(error) : error;
    }
  }

  /** Counts nothing. Throws `rate-limited` when nothing is left. */
  async demand(key: string): Promise<void> {
    const used = await this.#limiter.get(key);
    if (used !== null && used.remainingPoints <= 0) throw this.#refusal(used);
  }

  #refusal({ msBeforeNext }: RateLimiterRes): DomainError {
    const retryAfterSeconds = Math.max(1, Math.ceil(msBeforeNext / 1_000));
    return new DomainError('rate-limited', this.#message, { details: { retryAfterSeconds } });
  }
}

/** Doors listen on the loopback: behind a proxy of this machine the caller is whom it names in X-Forwarded-For (Express: `trust proxy`, `trustedProxies`). */
export function addressOf(request: Request): string {
  return request.ip ?? '';
}

/** Nobody else's header is believed. */
export const trustedProxies = 'loopback';
