import { z } from 'zod';
import { ProcessIdentity } from '../host/process-identity.ts';

/** What the front says of itself on its control socket, `GET /status`. */
export const FrontStatus = z.object({
  process: ProcessIdentity,
  ports: z.array(
    z.object({
      port: z.int(),
      application: z.string(),
      environment: z.string(),
      /** Why nothing listens there: `EADDRINUSE`, or the environment that has it; absent when all is well. */
      error: z.string().optional(),
      /** `<release>-<fence>` of what it serves. */
      live: z.string().optional(),
      upstreams: z.array(z.object({ port: z.int(), isHealthy: z.boolean() })),
    }),
  ),
  /** Open requests by `<application>/<environment>/<release>-<fence>`; a release that is not here has none. */
  open: z.record(z.string(), z.int()),
});
export type FrontStatus = Readonly<z.infer<typeof FrontStatus>>;
