import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { CliContext } from './context.ts';
import { CliFailure, exitCodes } from './failure.ts';

export interface Server {
  readonly url: string;
  readonly token: string | undefined;
}

/** LOAM_URL and LOAM_TOKEN; else what the Loam of the data folder, or of the nearest `.loam` upwards, has written down. */
export async function findServer(
  context: Pick<CliContext, 'apiUrl' | 'readToken' | 'dataFolder' | 'folder'>,
): Promise<Server> {
  const folder = await findDataFolder(context);
  const url = context.apiUrl ?? (folder === undefined ? undefined : await readEndpoint(folder));
  if (url === undefined) {
    throw new CliFailure(exitCodes.unreachable, `No Loam was found: ${context.dataFolder} has no endpoint.json`, {
      code: 'unreachable',
      remedy: 'Start it with "loam up" (or "npm start"), go into its folder, or set LOAM_URL and LOAM_TOKEN.',
    });
  }
  // The local token is for the local Loam: another server must not be shown it.
  const isLocal = context.apiUrl === undefined;
  const token =
    context.readToken?.() ??
    (isLocal && folder !== undefined ? await readText(path.join(folder, 'tokens/admin')) : undefined);
  return { url: url.replace(/\/+$/, ''), token: token?.trim() };
}

async function findDataFolder({
  dataFolder,
  folder,
}: Pick<CliContext, 'dataFolder' | 'folder'>): Promise<string | undefined> {
  if ((await readEndpoint(dataFolder)) !== undefined) return dataFolder;
  if (dataFolder !== path.join(folder, '.loam')) return undefined; // a folder that somebody named
  for (let at = path.dirname(folder); ; at = path.dirname(at)) {
    const candidate = path.join(at, '.loam');
    if ((await readEndpoint(candidate)) !== undefined) return candidate;
    if (at === path.dirname(at)) return undefined;
  }
}

async function readEndpoint(folder: string): Promise<string | undefined> {
  const text = await readText(path.join(folder, 'endpoint.json'));
  if (text === undefined) return undefined;
  try {
    const endpoint: unknown = JSON.parse(text);
    if (typeof endpoint !== 'object' || endpoint === null || !('apiUrl' in endpoint)) return undefined;
    return typeof endpoint.apiUrl === 'string' ? endpoint.apiUrl : undefined;
  } catch {
    return undefined;
  }
}

async function readText(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(() => undefined);
}
