import { open } from 'node:fs/promises';
import { get } from 'node:http';
import { text } from 'node:stream/consumers';
import { controlSocketName, frontFolder } from './layout.ts';
import { FrontStatus } from './front-status.ts';

const timeoutMs = 2000;

/** What the front says, after it has applied the route files as they are now; undefined when no front answers. */
export async function askFront(data: string): Promise<FrontStatus | undefined> {
  const folder = await open(frontFolder(data), 'r').catch(() => undefined);
  if (folder === undefined) return undefined;
  try {
    // Through the open folder: the path of a unix socket is limited to 107 bytes, the data folder's is not.
    const answer = await fetchText(`/proc/self/fd/${folder.fd}/${controlSocketName}`);
    return FrontStatus.parse(JSON.parse(answer));
  } catch {
    return undefined;
  } finally {
    await folder.close();
  }
}

function fetchText(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ socketPath, path: '/status', agent: false, signal: AbortSignal.timeout(timeoutMs) });
    request.on('error', reject);
    request.on('response', (response) => void text(response).then(resolve, reject));
  });
}
