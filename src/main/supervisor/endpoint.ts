import { z } from 'zod';

/** `<data>/endpoint.json`: where the doors of this data folder are. Written by the supervisor, read by `loam` and by the hook. */
export const Endpoint = z.object({
  apiUrl: z.string(),
  /** Empty in the file of a Loam that started no relay yet. */
  relayUrl: z.string().default(''),
  temporalAddress: z.string(),
  temporalUiUrl: z.string(),
});
export type Endpoint = z.infer<typeof Endpoint>;
