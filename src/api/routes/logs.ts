// I2: offsets are those of the store, so a reader that comes back sees no gap and no line twice.
import type { Response } from 'express';
import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import type { TaskName } from '../../core/model/ids.ts';
import { isTerminal } from '../../core/model/status.ts';
import type { LogChunk, LogKey } from '../../ports/log-store.ts';
import type { RunRow } from '../../ports/store.ts';
import type { RouteDependencies } from '../dependencies.ts';
import type { EventStream } from '../event-stream.ts';
import { serveEvents } from '../event-stream.ts';
import { defineStream } from '../route.ts';
import type { Route } from '../route.ts';
import type { RunReader } from '../run-reader.ts';
import { PositiveNumber, TaskNameText, WholeNumber } from '../fields.ts';
import type { LogEvent } from '../schema.ts';
import { wholeCharacters } from '../utf8.ts';
import { RoundQuery, RunParams, addressOf } from './runs.ts';

const chunkBytes = 65_536;
const waitMs = 2_000;

interface LogPlace {
  readonly row: RunRow;
  readonly task: TaskName;
  /** Undefined: the task has not begun. */
  readonly key: LogKey | undefined;
}

export function logRoutes(dependencies: RouteDependencies, reader: RunReader): readonly Route[] {
  return [
    defineStream({
      method: 'get',
      path: '/v1/runs/{application}/{number}/tasks/{task}/log',
      access: 'viewer',
      scope: 'application',
      summary: 'The output of a task attempt from an offset on: as text, or with accept: text/event-stream as it grows',
      answers: { 200: { 'text/plain': z.string(), 'text/event-stream': z.string() } },
      params: RunParams.extend({ task: TaskNameText }),
      query: RoundQuery.extend({ attempt: PositiveNumber.optional(), offset: WholeNumber.optional() }),
      handle: async ({ params, query, request, response, signal }) => {
        const row = await reader.require(addressOf(params, query));
        const place = await findLog(dependencies, reader, row, params.task, query.attempt);
        const offset = query.offset ?? 0;
        if (request.accepts(['text/plain', 'text/event-stream']) !== 'text/event-stream') {
          await sendLog(dependencies, place, offset, response);
          return;
        }
        const followed = { ...place, attempt: query.attempt };
        const from = readOffset(request.headers['last-event-id']) ?? offset;
        await serveEvents(response, signal, (stream) => followLog(dependencies, reader, followed, from, stream));
      },
    }),
  ];
}

function readOffset(lastEventId: string | string[] | undefined): number | undefined {
  return typeof lastEventId === 'string' && /^[0-9]{1,15}$/.test(lastEventId) ? Number(lastEventId) : undefined;
}

async function sendLog(
  { logs }: RouteDependencies,
  { row, key }: LogPlace,
  offset: number,
  response: Response,
): Promise<void> {
  const nothing: LogChunk = { bytes: new Uint8Array(), nextOffset: offset, ended: isTerminal(row.status) };
  const chunk = key === undefined ? nothing : await logs.read(key, offset, 16 * chunkBytes);
  response.setHeader('X-Loam-Attempt', String(key?.attempt ?? 0));
  response.setHeader('X-Loam-Next-Offset', String(chunk.nextOffset));
  response.setHeader('X-Loam-Ended', String(chunk.ended));
  response.type('text/plain; charset=utf-8').send(Buffer.from(chunk.bytes));
}

async function findLog(
  { store }: RouteDependencies,
  reader: RunReader,
  row: RunRow,
  task: TaskName,
  attempt: number | undefined,
): Promise<LogPlace> {
  const found = await reader.attempt(row, task, attempt);
  if (found !== undefined) return { row, task, key: { run: found.run, task, attempt: found.attempt } };
  const tasks = await store.tasks.list(row.id);
  // Before `resolve` nobody knows the tasks yet: any name may come.
  const isKnown = tasks.some((one) => one.name === task) || (tasks.length === 0 && !isTerminal(row.status));
  if (!isKnown) throw new DomainError('task-unknown', `The run ${row.id} has no task "${task}"`);
  return { row, task, key: undefined };
}

interface Followed extends LogPlace {
  readonly attempt: number | undefined;
}

async function followLog(
  { logs }: RouteDependencies,
  reader: RunReader,
  place: Followed,
  from: number,
  stream: EventStream,
): Promise<void> {
  const key = place.key ?? (await awaitAttempt(reader, place, stream.signal));
  let offset = from;
  while (key !== undefined) {
    const chunk = await logs.read(key, offset, chunkBytes);
    const bytes = chunk.ended ? chunk.bytes : wholeCharacters(chunk.bytes);
    if (bytes.length > 0) {
      offset = chunk.nextOffset - (chunk.bytes.length - bytes.length);
      const event: LogEvent = { type: 'log', text: new TextDecoder().decode(bytes) };
      await stream.send({ type: 'log', id: String(offset), data: event });
    }
    if (chunk.ended || (bytes.length === 0 && (await hasEndedUnseen(reader, place, chunk)))) break;
    if (bytes.length === 0)
      await logs.wait(key, offset + chunk.bytes.length, { timeoutMs: waitMs, signal: stream.signal });
    stream.signal.throwIfAborted();
  }
  await stream.send({ type: 'end', id: String(offset), data: { type: 'end' } satisfies LogEvent });
}

/** A run that ended while its worker was gone may leave a log that nobody seals: its reader must not wait for ever. */
async function hasEndedUnseen(reader: RunReader, { row }: Followed, chunk: LogChunk): Promise<boolean> {
  if (chunk.bytes.length > 0) return false;
  const { run } = await reader.snapshot(row.id);
  return run.finishedAt !== null && Date.now() - Date.parse(run.finishedAt) > waitMs;
}

/** Waits until the task begins; undefined when the run ends without it. */
async function awaitAttempt(
  reader: RunReader,
  { row, task, attempt }: Followed,
  signal: AbortSignal,
): Promise<LogKey | undefined> {
  for (;;) {
    const { run } = await reader.snapshot(row.id);
    const found = await reader.attempt(row, task, attempt);
    if (found !== undefined) return { run: found.run, task, attempt: found.attempt };
    if (isTerminal(run.status)) return undefined;
    await pause(signal);
  }
}

const attemptPollMs = 50;

async function pause(signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise((resolve) => setTimeout(resolve, attemptPollMs));
}
