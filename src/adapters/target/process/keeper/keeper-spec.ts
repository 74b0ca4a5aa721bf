import { z } from 'zod';

/**
 * All that a keeper needs to run its replica. It holds secrets in clear: it travels on the keeper's standard input and lies on disk only sealed (I7).
 */
export const KeeperSpec = z.object({
  application: z.string(),
  environment: z.string(),
  release: z.int(),
  /** Path of the artifact (a tar); needed until it has been unpacked once. */
  artifact: z.string(),
  start: z.string(),
  health: z.string(),
  env: z.record(z.string(), z.string()),
  secrets: z.record(z.string(), z.string()),
  trustToken: z.string().optional(),
  /** What the application keeps from release to release. */
  keptFolder: z.string(),
  /** Undefined: the application runs as a plain process. */
  bwrapPath: z.string().optional(),
  /** Folders with a `bin`, such as Node's, that the application may use besides those of the system. */
  toolPrefixes: z.array(z.string()),
});
export type KeeperSpec = Readonly<z.infer<typeof KeeperSpec>>;
