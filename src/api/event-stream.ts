import { once } from 'node:events';
import type { Response } from 'express';

export interface ServerEvent {
  readonly type: string;
  readonly id?: string;
  readonly data: unknown;
}

export interface EventStream {
  /** Waits while the reader is slow, so that what it does not read is not kept in memory. */
  readonly send: (event: ServerEvent) => Promise<void>;
  readonly signal: AbortSignal;
}

const keepAliveMs = 15_000;

/** Server-sent events. A reader that goes away is no error. */
export async function serveEvents(
  response: Response,
  signal: AbortSignal,
  produce: (stream: EventStream) => Promise<void>,
): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' });
  response.flushHeaders();
  response.socket?.setNoDelay(true);
  const keepAlive = setInterval(() => {
    if (!response.writableNeedDrain) response.write(': alive\n\n');
  }, keepAliveMs);
  try {
    await produce({ signal, send: (event) => write(response, signal, event) });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    clearInterval(keepAlive);
    response.end();
  }
}

async function write(response: Response, signal: AbortSignal, { type, id, data }: ServerEvent): Promise<void> {
  signal.throwIfAborted();
  const head = id === undefined ? '' : `id: ${id}\n`;
  // JSON in one line: no text of a job can look like a field of the stream.
  const hasRoom = response.write(`${head}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
  if (!hasRoom) await once(response, 'drain', { signal });
}
