// Node's own client instead of fetch, which takes longer to load than the rest of the hook takes to run.
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';

type Headers = Readonly<Record<string, string>>;

/** Posts and reads the answer, all within the time. Rejects when nobody answers. */
export async function post(
  url: string,
  headers: Headers,
  body: string,
  timeoutMs: number,
): Promise<{ readonly status: number; readonly text: string }> {
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await send(
    url,
    'POST',
    { ...headers, 'content-length': String(Buffer.byteLength(body)) },
    body,
    signal,
  );
  let text = '';
  response.setEncoding('utf8');
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode ?? 0, text };
}

/** Opens a stream of events. */
export async function open(url: string, headers: Headers): Promise<IncomingMessage> {
  const response = await send(url, 'GET', headers, '', undefined);
  if (response.statusCode === 200) return response;
  response.resume();
  throw new Error(`status ${response.statusCode ?? 0}`);
}

function send(
  url: string,
  method: string,
  headers: Headers,
  body: string,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request(url, { method, headers, ...(signal !== undefined && { signal }) }, resolve)
    .on('error', reject)
    .end(body);
  return promise;
}
