import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { ApplicationName, EnvironmentName } from '../../core/model/ids.ts';
import { isApplicationName, isEnvironmentName } from '../../core/model/ids.ts';
import { readJson } from './json-file.ts';
import { routesFolder } from './layout.ts';

/** What the front shall do for one environment. The target writes it, the front reads it. */
export const Route = z.object({
  application: z.custom<ApplicationName>((value) => typeof value === 'string' && isApplicationName(value)),
  environment: z.custom<EnvironmentName>((value) => typeof value === 'string' && isEnvironmentName(value)),
  /** Every port to listen on: the live release's, and that of a release which is on its way to another one. */
  ports: z.array(z.int().min(1).max(65_535)),
  live: z
    .object({
      release: z.int().nonnegative(),
      fence: z.int().nonnegative(),
      replicas: z.int().positive(),
      port: z.int().min(1).max(65_535),
      /** The replicas are containers: fixed ports of this machine, and the path that tells whether one is well. Absent: keepers say it. */
      published: z.object({ ports: z.array(z.int()), health: z.string() }).optional(),
    })
    .optional(),
});
export type Route = Readonly<z.infer<typeof Route>>;

/** In a fixed order, so that two environments which want one port are treated alike at each start. */
export async function readRoutes(data: string): Promise<readonly Route[]> {
  const names = await readdir(routesFolder(data)).catch(() => []);
  const files = names.filter((name) => name.endsWith('.json')).sort();
  const routes = await Promise.all(files.map((name) => readJson(path.join(routesFolder(data), name), Route)));
  return routes.filter((route) => route !== undefined);
}
