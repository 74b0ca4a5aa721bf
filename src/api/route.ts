import type { Request, Response } from 'express';
import { z } from 'zod';
import { DomainError } from '../core/errors.ts';
import type { Problem } from '../core/errors.ts';
import { jsonPointer } from '../core/graph/json-pointer.ts';
import type { Role } from '../core/model/access.ts';
import type { Token } from '../ports/credential-store.ts';
import { parseJson } from './json.ts';

/** `public`: no token. `trigger`: the handler checks the signature of the trigger. */
export type Access = Role | 'public' | 'trigger';

/** Where the caller must have the role. */
export type Scope =
  /** Nowhere: no token is asked for. */
  | 'none'
  /** In Loam as a whole: a role in one application does not do. */
  | 'loam'
  /** In the application of the path. */
  | 'application'
  /** In the environment of the path. */
  | 'environment'
  /** In the environment of the gate, which the handler looks up; before that, in any environment of the application of the path. */
  | 'gate'
  /** Anywhere: the handler answers only what the caller may see. */
  | 'seen';

export interface Call<Params, Query, Body> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** Who calls; throws on routes without a token. */
  readonly caller: () => Token;
  readonly request: Request;
  readonly response: Response;
  /** Aborts when the client goes away or the server closes. */
  readonly signal: AbortSignal;
}

export type RawCall = Pick<Call<unknown, unknown, unknown>, 'caller' | 'request' | 'response' | 'signal'>;

interface RouteHead {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** With `{name}` for parameters, as OpenAPI writes them. */
  readonly path: string;
  readonly access: Access;
  readonly scope: Scope;
  readonly summary: string;
  /** Fields of query and body that the audit log keeps: never a secret. */
  readonly recorded: readonly string[];
}

type SuccessStatus = 200 | 201 | 202;
/** What a success may look like: by status, then by media type. */
type Answers = Readonly<Partial<Record<SuccessStatus, Readonly<Record<string, z.ZodType>>>>>;

export interface Route extends RouteHead {
  readonly params: z.ZodType;
  readonly query: z.ZodType;
  readonly body: z.ZodType | undefined;
  readonly answers: Answers;
  /** Undefined: the handler writes the response itself. */
  readonly jsonStatus: SuccessStatus | undefined;
  readonly readsRawBody: boolean;
  readonly run: (call: RawCall) => Promise<unknown>;
}

interface RouteSpec<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Answer extends z.ZodType,
> extends RouteHead {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body | undefined;
  readonly status: SuccessStatus;
  readonly answer: Answer;
  readonly handle: (call: Call<z.output<Params>, z.output<Query>, z.output<Body>>) => Promise<z.input<Answer>>;
}

const nothing = z.object({});
type Nothing = typeof nothing;

type Optional<Spec, Name extends keyof Spec> = Omit<Spec, Name> & Partial<Pick<Spec, Name>>;

/** A row of the route table: checked input in, checked answer out. */
export function defineRoute<
  Answer extends z.ZodType,
  Params extends z.ZodType = Nothing,
  Query extends z.ZodType = Nothing,
  Body extends z.ZodType = Nothing,
>(spec: Optional<RouteSpec<Params, Query, Body, Answer>, 'params' | 'query' | 'body' | 'status' | 'recorded'>): Route {
  const { params = nothing, query = nothing, body, status = 200 } = spec;
  return {
    ...headOf(spec),
    params,
    query,
    body,
    answers: { [status]: { 'application/json': spec.answer } },
    jsonStatus: status,
    readsRawBody: false,
    run: async (raw) => {
      const input = checkInput({ params, query, body }, raw.request);
      const answer = await spec.handle({
        ...raw,
        ...(input as { params: z.output<Params>; query: z.output<Query>; body: z.output<Body> }),
      });
      const checked = await spec.answer.safeParseAsync(answer);
      if (!checked.success)
        throw new DomainError('internal', 'The answer does not fit its schema', { cause: checked.error });
      return checked.data;
    },
  };
}

function headOf({ method, path, access, scope, summary, recorded = [] }: Optional<RouteHead, 'recorded'>): RouteHead {
  return { method, path, access, scope, summary, recorded };
}

interface StreamSpec<Params extends z.ZodType, Query extends z.ZodType> extends RouteHead {
  readonly params: Params;
  readonly query: Query;
  /** Of a raw body: what its JSON holds, for the document only. */
  readonly body?: z.ZodType;
  readonly answers: Answers;
  readonly readsRawBody?: boolean;
  readonly handle: (call: Call<z.output<Params>, z.output<Query>, undefined>) => Promise<void>;
}

/** A route that writes its response itself: texts, event streams, and the trigger, which must see the body before anybody parses it. */
export function defineStream<Params extends z.ZodType = Nothing, Query extends z.ZodType = Nothing>(
  spec: Optional<StreamSpec<Params, Query>, 'params' | 'query' | 'recorded'>,
): Route {
  const { params = nothing, query = nothing } = spec;
  return {
    ...headOf(spec),
    params,
    query,
    body: spec.body,
    answers: spec.answers,
    jsonStatus: undefined,
    readsRawBody: spec.readsRawBody ?? false,
    run: async (raw) => {
      const input = checkInput({ params, query, body: undefined }, raw.request);
      await spec.handle({
        ...raw,
        body: undefined,
        ...(input as { params: z.output<Params>; query: z.output<Query> }),
      });
    },
  };
}

interface InputSchemas {
  readonly params: z.ZodType;
  readonly query: z.ZodType;
  readonly body: z.ZodType | undefined;
}

/** All problems of all three parts at once (I10). */
function checkInput(schemas: InputSchemas, request: Request): Record<string, unknown> {
  const problems: Problem[] = [];
  const input: Record<string, unknown> = {};
  for (const part of ['params', 'query', 'body'] as const) {
    const schema = schemas[part];
    if (schema === undefined) continue;
    const result = schema.safeParse(part === 'body' ? readBody(request) : request[part]);
    if (result.success) input[part] = result.data;
    else
      problems.push(
        ...result.error.issues.map(({ path, message }) => ({ pointer: jsonPointer([part, ...path]), message })),
      );
  }
  refuseInput(problems);
  return input;
}

/** Throws when there are any. */
export function refuseInput(problems: readonly Problem[]): void {
  const [first] = problems;
  if (first === undefined) return;
  throw new DomainError('input-invalid', `${first.pointer}: ${first.message}`, { problems });
}

export function readBody(request: Request): unknown {
  const body: unknown = request.body;
  if (!Buffer.isBuffer(body) || body.length === 0) return {};
  if (request.is('application/json') === false) {
    throw new DomainError('input-invalid', 'Send the body as JSON, with the header content-type: application/json');
  }
  return parseJson(body);
}
