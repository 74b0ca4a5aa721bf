import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { safeJson } from '../processes.ts';
import type { DemoApi } from './demo.ts';

/** Calls the API with the local admin token. */
export async function createApiCaller(dataFolder: string, apiUrl: string): Promise<DemoApi> {
  const token = (await readFile(path.join(dataFolder, 'tokens/admin'), 'utf8')).trim();
  return {
    async call(method, route, body) {
      const response = await fetch(`${apiUrl}${route}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(30_000),
      });
      const text = await response.text();
      if (!response.ok)
        throw new Error(`${method} ${route} was answered ${String(response.status)}: ${text.slice(0, 2_000)}`);
      return safeJson(text);
    },
  };
}
