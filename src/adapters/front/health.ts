import { get } from 'node:http';

const timeoutMs = 2000;

/** Asks the health path on a port of this machine. Undefined: all is well; else why not, for a person. */
export async function whyUnhealthy(port: number, path: string): Promise<string | undefined> {
  const answer = await ask(port, path);
  if (typeof answer === 'string') return `GET ${path} failed: ${answer}`;
  return answer < 200 || answer > 299 ? `GET ${path} answered ${answer}` : undefined;
}

function ask(port: number, path: string): Promise<number | string> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const request = get({
      host: '127.0.0.1',
      port,
      path,
      agent: false,
      signal,
      headers: { 'user-agent': 'loam' },
    });
    request.on('response', (response) => {
      response.on('error', () => undefined).resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('error', (error) => resolve(signal.aborted ? `no answer within ${timeoutMs / 1000} s` : error.message));
  });
}
