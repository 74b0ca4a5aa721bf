import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import type { Logger } from '../ports/logger.ts';
import { Secret } from '../ports/secret.ts';

const File = z.object({
  version: z.literal(1),
  triggers: z.array(z.object({ trigger: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/), secret: z.string().min(1) })),
});

/** The secret of a trigger; undefined when the relay does not know it. */
export type FindSecret = (trigger: string) => Promise<Secret | undefined>;

/** A relay has no database: a file names its triggers. It is read again when it has changed; a file that is broken leaves what was read before. */
export function createTriggers(file: string, logger: Logger): FindSecret {
  let secrets: ReadonlyMap<string, Secret> = new Map();
  let version = '';
  let turn: Promise<void> = Promise.resolve();

  async function readIfChanged(): Promise<void> {
    const found = await stat(file).catch(() => undefined);
    const now = found === undefined ? 'missing' : `${found.ino} ${found.mtimeMs} ${found.size}`;
    if (now === version) return;
    version = now;
    try {
      const { triggers } = File.parse(JSON.parse(await readFile(file, 'utf8')));
      secrets = new Map(triggers.map((one) => [one.trigger, new Secret(one.secret)]));
      logger.info({ triggers: secrets.size }, 'triggers read');
    } catch (error) {
      const reason = error instanceof z.ZodError ? 'it is not a file of triggers' : nameOf(error);
      logger.error({ file, reason }, 'triggers cannot be read'); // never the error itself: it may quote a secret (I7)
    }
  }

  // One after the other: who asks while the file is being read must wait for it, or a new trigger would be refused.
  return async (trigger) => {
    await (turn = turn.then(readIfChanged));
    return secrets.get(trigger);
  };
}

function nameOf(error: unknown): string {
  if (error instanceof Error && 'code' in error) return String(error.code);
  return error instanceof Error ? error.name : 'unknown';
}
