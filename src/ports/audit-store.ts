/** One call that would change something, by whom, and what became of it. */
export interface AuditEntry {
  /** Grows with each entry. */
  readonly number: number;
  readonly atMs: number;
  /** Name of the token. */
  readonly token: string;
  readonly address: string;
  readonly method: string;
  readonly path: string;
  /** Some fields of the call, each chosen by its route as no secret. */
  readonly details: Readonly<Record<string, unknown>>;
  /** Undefined while the call is under way, and for ever when the process died in it. */
  readonly outcome: AuditOutcome | undefined;
}

export interface AuditOutcome {
  readonly status: number;
  /** Of the error, if it was one. */
  readonly code: string | undefined;
}

export interface AuditStore {
  /** Durable before the change begins. Keeps the newest entries only. Answers the entry's number. */
  begin(entry: Omit<AuditEntry, 'number' | 'atMs' | 'outcome'>): Promise<number>;
  end(number: number, outcome: AuditOutcome): Promise<void>;
  /** Newest first. */
  list(filter: {
    readonly limit: number;
    readonly before?: number | undefined;
    readonly token?: string | undefined;
  }): Promise<readonly AuditEntry[]>;
}
