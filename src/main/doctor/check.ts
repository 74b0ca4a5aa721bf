/** `warning`: Loam works, with less. `missing`: something that it needs is not there. */
export type CheckStatus = 'ok' | 'warning' | 'missing';

/** One line of `loam doctor`. Never holds a secret (I7). */
export interface Check {
  readonly name: string;
  readonly status: CheckStatus;
  /** What was found, which version, where. */
  readonly found: string;
  /** What to do; nothing when all is well. */
  readonly remedy?: string;
}

export function ok(name: string, found: string): Check {
  return { name, status: 'ok', found };
}

export function warning(name: string, found: string, remedy: string): Check {
  return { name, status: 'warning', found, remedy };
}

export function missing(name: string, found: string, remedy: string): Check {
  return { name, status: 'missing', found, remedy };
}

export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
