import { createParser } from 'eventsource-parser';
import type { EventSourceMessage } from 'eventsource-parser';
import type { ProblemDocument } from '../api/schema.ts';
import { CliFailure, exitCodes } from './failure.ts';
import type { ExitCode } from './failure.ts';
import type { Server } from './server.ts';

export interface StreamedEvent {
  readonly type: string;
  readonly data: unknown;
}

/** The API as the commands use it. Answers are believed to fit their types: server and client come from one source. */
export interface ApiClient {
  request<Answer>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer>;
  text(path: string): Promise<{ readonly text: string; readonly headers: Headers }>;
  /** Server-sent events; comes back by itself, where it was, when the connection is lost. Ends with the event `end`, or on abort. */
  events(path: string): AsyncGenerator<StreamedEvent>;
}

const requestTimeoutMs = 90_000;
const reconnectForMs = 60_000;
const reconnectPauseMs = 500;

/** The server is looked for at the first call: commands that need none work without one. */
export function createApiClient(find: () => Promise<Server>, signal: AbortSignal): ApiClient {
  let found: Promise<Server> | undefined;
  async function call(path: string, options: CallOptions): Promise<Response> {
    found ??= find();
    const server = await found;
    const headers = {
      ...(server.token !== undefined && { authorization: `Bearer ${server.token}` }),
      ...options.headers,
    };
    let response: Response;
    try {
      response = await fetch(`${server.url}${path}`, { signal, ...options, headers });
    } catch (error) {
      signal.throwIfAborted();
      throw unreachable(server.url, error);
    }
    if (!response.ok) throw await failureOf(response);
    return response;
  }
  return {
    async request<Answer>(
      method: string,
      path: string,
      body?: unknown,
      headers: Readonly<Record<string, string>> = {},
    ) {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)]);
      const json = body === undefined ? undefined : JSON.stringify(body);
      const response = await call(path, {
        method,
        signal: limit,
        headers: { ...headers, ...(json !== undefined && { 'content-type': 'application/json' }) },
        ...(json !== undefined && { body: json }),
      });
      return (await response.json()) as Answer;
    },
    async text(path) {
      const response = await call(path, { headers: { accept: 'text/plain' } });
      return { text: await response.text(), headers: response.headers };
    },
    events: (path) => followEvents((lastId) => openStream(call, path, lastId), signal),
  };
}

interface CallOptions {
  readonly method?: string;
  readonly body?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

type Call = (path: string, options: CallOptions) => Promise<Response>;

async function openStream(call: Call, path: string, lastId: string | undefined): Promise<ReadableStream<Uint8Array>> {
  const headers = { accept: 'text/event-stream', ...(lastId !== undefined && { 'last-event-id': lastId }) };
  const { body } = await call(path, { headers });
  if (body === null)
    throw new CliFailure(exitCodes.unreachable, 'The server sent no event stream', { code: 'unreachable' });
  return body;
}

type Open = (lastId: string | undefined) => Promise<ReadableStream<Uint8Array>>;

async function* followEvents(open: Open, signal: AbortSignal): AsyncGenerator<StreamedEvent> {
  let lastId: string | undefined;
  const patience = createPatience(signal);
  for (;;) {
    try {
      for await (const message of readMessages(await open(lastId))) {
        patience.renew();
        lastId = message.id ?? lastId;
        yield { type: message.event ?? 'message', data: JSON.parse(message.data) as unknown };
        if (message.event === 'end') return;
      }
    } catch (error) {
      patience.bear(error);
    }
    await new Promise((resolve) => setTimeout(resolve, reconnectPauseMs));
    signal.throwIfAborted();
  }
}

/** Only a server that is away may come back, and not for ever; what it refused is refused. */
function createPatience(signal: AbortSignal): { readonly renew: () => void; readonly bear: (error: unknown) => void } {
  let lostAt: number | undefined;
  return {
    renew: () => {
      lostAt = undefined;
    },
    bear: (error) => {
      signal.throwIfAborted();
      if (error instanceof CliFailure && error.exitCode !== exitCodes.unreachable) throw error;
      lostAt ??= performance.now();
      if (performance.now() - lostAt > reconnectForMs) throw error;
    },
  };
}

async function* readMessages(stream: ReadableStream<Uint8Array>): AsyncGenerator<EventSourceMessage> {
  const decoder = new TextDecoder();
  const ready: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => ready.push(message) });
  for await (const chunk of stream) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    yield* ready.splice(0);
  }
}

function unreachable(url: string, error: unknown): CliFailure {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CliFailure(exitCodes.unreachable, `Loam does not answer at ${url}: ${reason}`, {
    code: 'unreachable',
    remedy: 'Start it with "loam up", or check LOAM_URL. "loam doctor" tells what is there.',
  });
}

async function failureOf(response: Response): Promise<CliFailure> {
  const problem = await readProblem(response);
  const exitCode = exitCodeOf(response.status);
  if (problem === undefined) {
    return new CliFailure(exitCode, `The server answered ${response.status}`, {
      code: 'unreachable',
      remedy: 'Is LOAM_URL the API of Loam?',
    });
  }
  const remedy = remedies[problem.code];
  return new CliFailure(exitCode, `${problem.title}: ${problem.detail}`, {
    code: problem.code,
    problems: problem.errors.map(({ pointer, message }) => ({ pointer, message })),
    ...(remedy !== undefined && { remedy }),
  });
}

async function readProblem(response: Response): Promise<ProblemDocument | undefined> {
  if (response.headers.get('content-type')?.startsWith('application/problem+json') !== true) return undefined;
  return (await response.json()) as ProblemDocument;
}

function exitCodeOf(status: number): ExitCode {
  if (status === 401 || status === 403) return exitCodes.forbidden;
  if (status === 404) return exitCodes.notFound;
  return status === 502 || status === 503 || status === 504 ? exitCodes.unreachable : exitCodes.failed;
}

const remedies: Readonly<Record<string, string>> = {
  unauthenticated:
    'Set LOAM_TOKEN to a token of this Loam; an admin makes one with "loam token add NAME --role developer".',
  forbidden: 'Ask somebody with that role, or an admin for a token with it.',
  'application-unknown': '"loam app list" shows the applications.',
  'application-exists': '"loam app show NAME" shows it.',
  'environment-unknown': '"loam env list" shows the environments; "loam env put" registers one.',
  'run-unknown': '"loam runs" shows the runs.',
  'task-unknown': '"loam show RUN" shows its tasks.',
  'gate-unknown': '"loam show RUN" shows its gates.',
  'gate-closed': '"loam show RUN" shows how it was decided.',
  'run-not-ended': 'Wait for it ("loam logs RUN -f"), or end it with "loam cancel RUN".',
  'run-ended': '"loam retry RUN" runs again what is left.',
  'trust-unknown': '"loam trust list" shows the trusts.',
  'rate-limited': 'Wait a minute, then call less often; LOAM_API_PER_SECOND of the API sets the limit.',
  'store-unavailable': 'The database does not answer; "loam doctor" tells more. Try again.',
  'git-unavailable': 'Check the address with "loam app show", and that this machine may read it.',
  'commit-missing': 'Push the commit first.',
};
