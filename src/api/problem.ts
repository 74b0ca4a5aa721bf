import type { ErrorRequestHandler, Request, Response } from 'express';
import { DomainError, errorKinds } from '../core/errors.ts';
import type { ErrorCode } from '../core/errors.ts';
import type { Logger } from '../ports/logger.ts';
import type { ProblemDocument } from './schema.ts';

/** The API serves the page itself, so that the link leads somewhere. */
const documentation = '/docs/errors.md';

export function makeProblem(
  error: DomainError,
  request: { readonly id: string; readonly path: string },
): ProblemDocument {
  const { status, title } = errorKinds[error.code];
  return {
    type: `${documentation}#${error.code}`,
    title,
    status,
    // What went wrong inside is for the log; outside it could carry paths and foreign text.
    detail: status === 500 ? `Loam wrote the cause to its log under the request id ${request.id}.` : error.message,
    instance: request.path,
    code: error.code,
    requestId: request.id,
    errors: error.problems.map((one) => ({ ...one })),
  };
}

/** Express and its body reader throw errors of their own; their text is not passed on. */
export function asDomainError(error: unknown): DomainError {
  if (error instanceof DomainError) return error;
  return new DomainError(...codeOfHttpError(error), { cause: error });
}

function codeOfHttpError(error: unknown): [ErrorCode, string] {
  const status = fieldOf(error, 'status');
  if (fieldOf(error, 'type') === 'entity.too.large')
    return ['input-too-large', 'The body is larger than this route takes'];
  if (status === 415)
    return ['input-invalid', 'The body has an encoding that this route does not read: send it as it is'];
  if (typeof status === 'number' && status >= 400 && status < 500)
    return ['input-invalid', 'The request cannot be read'];
  return ['internal', 'Something went wrong inside Loam'];
}

function fieldOf(error: unknown, name: 'status' | 'type'): unknown {
  return typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
}

export function requestIdOf(response: Response): string {
  const id: unknown = response.locals['requestId'];
  return typeof id === 'string' ? id : 'unknown';
}

export function sendProblem(request: Request, response: Response, error: DomainError): void {
  const problem = makeProblem(error, { id: requestIdOf(response), path: request.path });
  if (problem.status === 401) response.setHeader('WWW-Authenticate', 'Bearer');
  const wait = problem.status === 503 ? 5 : error.details['retryAfterSeconds'];
  if (typeof wait === 'number') response.setHeader('Retry-After', String(wait));
  response.status(problem.status).type('application/problem+json').send(JSON.stringify(problem));
}

export function createErrorHandler(logger: Logger): ErrorRequestHandler {
  // Express knows an error handler by its four parameters.
  return (thrown: unknown, request, response, next) => {
    const error = asDomainError(thrown);
    if (errorKinds[error.code].status >= 500) {
      const fields = { requestId: requestIdOf(response), method: request.method, path: request.path, code: error.code };
      logger.error({ ...fields, error: thrown }, 'request failed');
    }
    if (response.headersSent) next(thrown);
    else sendProblem(request, response, error);
  };
}
