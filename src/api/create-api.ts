// The route table in the order of its rooms; around it what holds for every request: host, size, token, problem+json.
import { randomUUID } from 'node:crypto';
import express from 'express';
import type { Express, Request, RequestHandler, Response } from 'express';
import { DomainError } from '../core/errors.ts';
import type { Token } from '../ports/credential-store.ts';
import { audited } from './audit.ts';
import { authorize, checkHost } from './authenticate.ts';
import type { ApiDependencies, RouteDependencies } from './dependencies.ts';
import { Guard } from './guard.ts';
import { documentRoute } from './openapi.ts';
import { asDomainError, createErrorHandler } from './problem.ts';
import { maxDeliveryBytes } from './delivery.ts';
import { trustedProxies } from './rate-limit.ts';
import { createReceiver } from './receive.ts';
import type { Receiver } from './receive.ts';
import { createRelayTriggers } from './relay-triggers.ts';
import type { Route } from './route.ts';
import { auditRoutes } from './routes/audit.ts';
import { applicationRoutes } from './routes/applications.ts';
import { commitStatusRoutes } from './routes/commit-statuses.ts';
import { credentialRoutes } from './routes/credentials.ts';
import { deployKeyRoutes } from './routes/deploy-keys.ts';
import { deliveryRoutes } from './routes/deliveries.ts';
import { environmentRoutes } from './routes/environments.ts';
import { gateRoutes } from './routes/gates.ts';
import { keyRoutes } from './routes/keys.ts';
import { logRoutes } from './routes/logs.ts';
import { redeployRoutes } from './routes/redeploys.ts';
import { repositoryTokenRoutes } from './routes/repository-tokens.ts';
import { runRoutes } from './routes/runs.ts';
import { serviceRoutes } from './routes/service.ts';
import { triggerRoutes } from './routes/triggers.ts';
import { createRunReader } from './run-reader.ts';

const maxBodyBytes = 262_144;

export interface Api {
  readonly app: Express;
  readonly routes: readonly Route[];
  /** What the door of the triggers does with a delivery; the spool uses the same. */
  readonly receive: Receiver;
  readonly writeRelayTriggers: () => Promise<void>;
  /** Ends open event streams, so that the server can close. */
  close(): void;
}

export function createApi(given: ApiDependencies): Api {
  const receive = createReceiver(given);
  const writeRelayTriggers = createRelayTriggers(given.store.applications, given.dataFolder);
  const dependencies: RouteDependencies = { ...given, receive, writeRelayTriggers };
  const frame = { calls: new OpenCalls(), guard: new Guard(given.limits, given.logger) };
  const routes = makeRoutes(dependencies);
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', 'simple').set('trust proxy', trustedProxies);
  app.use(createFrame(dependencies));
  for (const route of routes) {
    app[route.method](route.path.replaceAll(/\{(\w+)\}/g, ':$1'), ...handlersOf(dependencies, route, frame));
  }
  app.use((request: Request) => {
    throw new DomainError('not-found', `There is nothing at ${request.method} ${request.path.slice(0, 200)}`);
  });
  app.use(createErrorHandler(given.logger));
  return { app, routes, receive, writeRelayTriggers, close: () => frame.calls.close() };
}

function makeRoutes(dependencies: RouteDependencies): readonly Route[] {
  const reader = createRunReader(dependencies.store, dependencies.blobs, dependencies.links);
  const routes = [
    ...triggerRoutes(dependencies, reader),
    ...deliveryRoutes(dependencies),
    ...applicationRoutes(dependencies),
    ...environmentRoutes(dependencies),
    ...redeployRoutes(dependencies),
    ...repositoryTokenRoutes(dependencies),
    ...deployKeyRoutes(dependencies),
    ...commitStatusRoutes(dependencies),
    ...credentialRoutes(dependencies),
    ...keyRoutes(dependencies),
    ...auditRoutes(dependencies),
    ...runRoutes(dependencies, reader),
    ...logRoutes(dependencies, reader),
    ...gateRoutes(dependencies, reader),
    ...serviceRoutes(dependencies, reader),
  ];
  return [...routes, documentRoute(routes, dependencies.version)];
}

function createFrame({ hosts, logger }: RouteDependencies): RequestHandler {
  return (request, response, next) => {
    const requestId = randomUUID();
    const startedAt = performance.now();
    response.locals['requestId'] = requestId;
    response.setHeader('X-Request-Id', requestId);
    response.setHeader('Cache-Control', 'no-store');
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.on('finish', () => {
      const fields = { requestId, method: request.method, path: request.path, status: response.statusCode };
      logger.debug({ ...fields, ms: Math.round(performance.now() - startedAt) }, 'request answered');
    });
    checkHost(request, hosts);
    next();
  };
}

interface Frame {
  readonly calls: OpenCalls;
  readonly guard: Guard;
}

/** The token is checked before the body is read: who may not call cannot make Loam read. */
function handlersOf(dependencies: RouteDependencies, route: Route, { calls, guard }: Frame): readonly RequestHandler[] {
  const callers = new WeakMap<Request, Token>();
  const limit = route.readsRawBody ? maxDeliveryBytes : maxBodyBytes;
  return [
    async (request, _response, next) => {
      const token = await guard.identify(dependencies.store.tokens, request, route.access);
      if (token !== undefined) {
        callers.set(request, token);
        await refuse(dependencies, route, { token, request });
      }
      next();
    },
    // The body stays bytes: signatures are over what came, and there is one place that parses.
    express.raw({ limit, type: () => true, inflate: false }),
    async (request, response) => {
      const caller = (): Token => callerOf(callers, request);
      const run = (): Promise<unknown> => route.run({ request, response, signal: calls.open(response), caller });
      const token = callers.get(request);
      const answer = await (token === undefined
        ? guard.signed(request, run)
        : audited(dependencies, route, { token, request }, run));
      if (route.jsonStatus !== undefined) response.status(route.jsonStatus).json(answer);
    },
  ];
}

/** What is refused before its body is read is noted too. */
async function refuse(
  dependencies: RouteDependencies,
  route: Route,
  call: { readonly token: Token; readonly request: Request },
): Promise<void> {
  try {
    authorize(call.token, route, call.request.params);
  } catch (error) {
    await audited(dependencies, route, call, () => Promise.reject(asDomainError(error)));
  }
}

function callerOf(callers: WeakMap<Request, Token>, request: Request): Token {
  const token = callers.get(request);
  if (token === undefined) throw new DomainError('internal', 'This route has no caller');
  return token;
}

/** A signal per call, which aborts when its client goes away, or when the server closes; kept only while the call is open. */
class OpenCalls {
  readonly #open = new Set<AbortController>();
  #isClosed = false;

  open(response: Response): AbortSignal {
    const call = new AbortController();
    this.#open.add(call);
    response.on('close', () => {
      this.#open.delete(call);
      call.abort();
    });
    if (this.#isClosed) call.abort();
    return call.signal;
  }

  close(): void {
    this.#isClosed = true;
    for (const call of this.#open) call.abort();
  }
}
