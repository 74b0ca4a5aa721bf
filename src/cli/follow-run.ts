import type { RunEvent } from '../api/schema.ts';
import type { ApiClient } from './api-client.ts';
import { createProgress, tellReconnect } from './progress.ts';
import { describePreview } from './run-picture.ts';

/** Prints how a run goes until it has ended or waits for a person; answers its status then. */
export async function followRun(
  client: ApiClient,
  path: string,
  write: (lines: readonly string[], event: RunEvent) => void,
): Promise<string> {
  const progress = createProgress(
    (gate) =>
      tellReconnect(gate) ?? [
        `gate ${gate.gate} waits for a person:`,
        ...describePreview(gate).map((line) => `  ${line}`),
        `  approve  loam approve ${gate.run} ${gate.gate}`,
      ],
  );
  for await (const { data } of client.events(path)) {
    const event = data as RunEvent;
    write(progress.tell(event), event);
    const end = progress.end();
    if (end !== undefined) return end;
  }
  return 'unknown';
}
