// The door of the relay (I1, I10): signature over the raw body, then what it says, then the disk, then 202.
import { randomBytes, randomUUID } from 'node:crypto';
import express from 'express';
import type { Express, Request, RequestHandler, Response } from 'express';
import { header, maxDeliveryBytes, readDelivery } from '../api/delivery.ts';
import type { Headers } from '../api/delivery.ts';
import { createErrorHandler } from '../api/problem.ts';
import { RateLimit, addressOf, trustedProxies } from '../api/rate-limit.ts';
import { isSignedBy } from '../api/signature.ts';
import { DomainError } from '../core/errors.ts';
import type { Logger } from '../ports/logger.ts';
import { Secret } from '../ports/secret.ts';
import type { RelaySpool } from './spool.ts';
import type { FindSecret } from './triggers.ts';

export interface RelayOptions {
  readonly spool: RelaySpool;
  readonly findSecret: FindSecret;
  readonly logger: Logger;
  /** Requests a second that one address may send to one trigger. */
  readonly perSecond: number;
  /** A delivery was spooled. */
  readonly wake: () => void;
}

/** What the API reads of a delivery; nothing else is kept or passed on. */
const forwarded = ['content-type', 'x-github-event', 'x-github-delivery', 'x-loam-delivery', 'x-loam-source'];

export function createRelay(options: RelayOptions): Express {
  const { spool, logger } = options;
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', 'simple').set('trust proxy', trustedProxies);
  app.use((_request, response, next) => {
    response.locals['requestId'] = randomUUID();
    response.setHeader('X-Request-Id', String(response.locals['requestId']));
    response.setHeader('Cache-Control', 'no-store');
    next();
  });
  app.get('/healthz', (_request, response) => response.json({ status: 'ok' }));
  app.get('/readyz', async (_request, response) => {
    const [waiting, dead] = [await spool.waiting(), await spool.dead()];
    response.json({ status: 'ok', waiting: waiting.length, dead: dead.length });
  });
  app.post(
    '/v1/triggers/:trigger',
    limitRate(options),
    express.raw({ limit: maxDeliveryBytes, type: () => true, inflate: false }),
    takeDelivery(options),
  );
  app.use(() => {
    throw new DomainError('not-found', 'A relay takes deliveries at POST /v1/triggers/{id}');
  });
  app.use(createErrorHandler(logger));
  return app;
}

/** Unknown triggers share one bucket of an address: their names are the sender's to choose. */
function limitRate({ findSecret, perSecond }: RelayOptions): RequestHandler {
  const message = `At most ${perSecond} deliveries a second come from one address`;
  const limit = new RateLimit({ calls: 2 * perSecond, seconds: 2, message });
  return async (request, _response, next) => {
    const trigger = triggerOf(request);
    const name = (await findSecret(trigger)) === undefined ? '' : trigger;
    await limit.take(`${addressOf(request)} ${name}`);
    next();
  };
}

function takeDelivery({ spool, findSecret, logger, wake }: RelayOptions): RequestHandler {
  // An unknown trigger is checked against a secret that nobody knows, so that it answers as a bad signature does.
  const unknown = new Secret(randomBytes(32).toString('base64url'));
  return async (request: Request, response: Response) => {
    const trigger = triggerOf(request);
    const raw: unknown = request.body;
    const body = Buffer.isBuffer(raw) ? raw : Buffer.alloc(0);
    const headers: Headers = request.headers;
    const secret = await findSecret(trigger);
    const isSigned = isSignedBy(secret ?? unknown, body, header(headers, 'x-hub-signature-256'));
    if (secret === undefined || !isSigned)
      throw new DomainError('signature-invalid', 'The header x-hub-signature-256 does not fit body and trigger');
    readDelivery(headers, body); // what the API would refuse does not enter the spool
    const { delivery } = await spool.add(trigger, { headers: keep(headers), body });
    wake();
    logger.info({ delivery, trigger }, 'delivery spooled');
    response.status(202).json({ delivery });
  };
}

function triggerOf(request: Request): string {
  const { trigger } = request.params;
  return typeof trigger === 'string' ? trigger : '';
}

function keep(headers: Headers): Readonly<Record<string, string>> {
  return Object.fromEntries(
    forwarded.flatMap((name) => {
      const value = header(headers, name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
