import type { Logger } from '../../src/ports/logger.ts';

function ignore(): void {
  // tests assert on what a caller sees, not on log lines
}

export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
