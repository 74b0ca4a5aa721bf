import { Connection } from '@temporalio/client';
import proto from '@temporalio/proto'; // CommonJS whose named exports Node cannot see
import { DomainError } from '../../core/errors.ts';

const { IndexedValueType } = proto.temporal.api.enums.v1;

/** What the lists of the Temporal UI can be filtered by. Wire format: add, never rename. */
export const searchAttributes = {
  LoamApplication: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
  LoamBranch: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
  LoamCommit: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
  LoamEnvironment: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
  LoamGate: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
  LoamStatus: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
} as const;

export const retentionDays = 30;

const probeTimeoutMs = 2_000;
const pauseMs = 50;
const notFound = 5; // gRPC status codes
const alreadyExists = 6;

export interface PrepareOptions {
  readonly deadlineMs: number;
  /** True when there is no use in waiting longer: the server's process has ended. */
  readonly isGone?: () => boolean;
  readonly signal?: AbortSignal;
}

/**
 * Waits until the server answers for the namespace, then makes the namespace what Loam needs: it exists, has our search attributes (the dev server ignores
 * them for a namespace that its file knows already) and keeps closed runs for a month. Twice is fine. Throws `temporal-unavailable`.
 */
export async function prepareNamespace(address: string, namespace: string, options: PrepareOptions): Promise<void> {
  const connection = Connection.lazy({ address });
  try {
    await awaitNamespace(connection, address, namespace, options);
    await onceKnown(options, () => addSearchAttributes(connection, namespace));
    await onceKnown(options, () => raiseRetention(connection, namespace));
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof DomainError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new DomainError('temporal-unavailable', `Temporal at ${address} refused: ${reason}`, { cause: error });
  } finally {
    await connection.close();
  }
}

/** A server keeps what it knows of namespaces for some seconds: right after one was registered, other calls may still say that there is none. */
async function onceKnown(options: PrepareOptions, call: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + options.deadlineMs;
  for (;;) {
    try {
      await call();
      return;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (codeOf(error) !== notFound || performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

async function awaitNamespace(
  connection: Connection,
  address: string,
  namespace: string,
  options: PrepareOptions,
): Promise<void> {
  const startedAt = performance.now();
  const deadline = startedAt + options.deadlineMs;
  for (;;) {
    options.signal?.throwIfAborted();
    try {
      await describe(connection, namespace);
      return;
    } catch (error) {
      if (performance.now() > deadline || options.isGone?.() === true) {
        const waited = ((performance.now() - startedAt) / 1000).toFixed(1);
        const message = `Temporal at ${address} did not answer for the namespace "${namespace}" within ${waited} s`;
        throw new DomainError('temporal-unavailable', message, { cause: error });
      }
      if (codeOf(error) === notFound) await register(connection, namespace);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

async function describe(connection: Connection, namespace: string): Promise<number> {
  const { config } = await connection.withDeadline(Date.now() + probeTimeoutMs, () =>
    connection.workflowService.describeNamespace({ namespace }),
  );
  return Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0);
}

async function register(connection: Connection, namespace: string): Promise<void> {
  try {
    await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: retention() });
  } catch (error) {
    if (codeOf(error) !== alreadyExists) throw error;
  }
}

async function addSearchAttributes(connection: Connection, namespace: string): Promise<void> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const missing = Object.entries(searchAttributes).filter(([name]) => !(name in customAttributes));
  if (missing.length === 0) return;
  try {
    await connection.operatorService.addSearchAttributes({ namespace, searchAttributes: Object.fromEntries(missing) });
  } catch (error) {
    if (codeOf(error) !== alreadyExists) throw error; // another start of Loam was faster
  }
}

async function raiseRetention(connection: Connection, namespace: string): Promise<void> {
  const seconds = await describe(connection, namespace);
  if (seconds >= retentionDays * 86_400) return;
  await connection.workflowService.updateNamespace({
    namespace,
    config: { workflowExecutionRetentionTtl: retention() },
  });
}

function retention(): proto.google.protobuf.Duration {
  return proto.google.protobuf.Duration.fromObject({ seconds: retentionDays * 86_400 });
}

function codeOf(error: unknown): number | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'number'
    ? error.code
    : undefined;
}
