import path from 'node:path';
import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import type { Token } from '../../ports/credential-store.ts';
import { applicationOfRun, onlySeen } from '../authenticate.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { readQueue } from '../queue.ts';
import { defineRoute, defineStream } from '../route.ts';
import type { Route } from '../route.ts';
import type { RunReader } from '../run-reader.ts';
import { QueueView, StatusView } from '../schema.ts';
import { countSpooled } from '../spool.ts';

const Health = z.object({ status: z.literal('ok') });
const probeTimeoutMs = 2_000;

export function serviceRoutes(dependencies: RouteDependencies, reader: RunReader): readonly Route[] {
  const { store, jobCapacity, errorsDocument } = dependencies;
  return [
    defineRoute({
      method: 'get',
      path: '/healthz',
      access: 'public',
      scope: 'none',
      summary: 'Answers while the process lives',
      answer: Health,
      handle: () => Promise.resolve({ status: 'ok' as const }),
    }),
    defineRoute({
      method: 'get',
      path: '/readyz',
      access: 'public',
      scope: 'none',
      summary: 'Answers when deliveries can be taken: the database is there. Temporal may be away (I1)',
      answer: z.object({ status: z.literal('ok'), temporal: z.enum(['ok', 'unavailable']) }),
      handle: async () => {
        await store.applications.list();
        return { status: 'ok' as const, temporal: await probeTemporal(dependencies) };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/queue',
      access: 'viewer',
      scope: 'seen',
      summary: 'Capacity, running and waiting jobs, deploys that wait for a lock, gates that wait for a person',
      answer: QueueView,
      handle: async ({ caller }) => seenOf(caller(), await readQueue(store, reader, jobCapacity)),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/status',
      access: 'viewer',
      scope: 'loam',
      summary: 'What this Loam is and how it stands',
      answer: StatusView,
      handle: () => readStatus(dependencies),
    }),
    defineStream({
      method: 'get',
      path: '/docs/errors.md',
      access: 'public',
      scope: 'none',
      summary: 'The page that every problem links to',
      answers: { 200: { 'text/markdown': z.string() } },
      handle: async ({ response }) => {
        const { promise, resolve, reject } = Promise.withResolvers<undefined>();
        response.type('text/markdown; charset=utf-8').sendFile(errorsDocument, (error: unknown) => {
          if (error === undefined) resolve(undefined);
          else reject(new DomainError('not-found', 'The page of the error codes is not installed', { cause: error }));
        });
        await promise;
      },
    }),
  ];
}

/** Places in the queue count all jobs, also those that the caller does not see. */
function seenOf(caller: Token, queue: QueueView): QueueView {
  const seen = <Row extends { readonly run: string }>(rows: readonly Row[]): Row[] =>
    onlySeen(caller, rows, applicationOfRun);
  const { running, waiting, locks, gates } = queue;
  return { ...queue, running: seen(running), waiting: seen(waiting), locks: seen(locks), gates: seen(gates) };
}

async function readStatus(dependencies: RouteDependencies): Promise<StatusView> {
  const { store, version, dataFolder, links, jobCapacity } = dependencies;
  const spool = await countSpooled(path.join(dataFolder, 'spool'));
  return {
    version,
    dataFolder,
    temporal: await probeTemporal(dependencies),
    temporalUiUrl: links.temporalUiUrl ?? null,
    jobCapacity,
    openRuns: (await store.runs.open()).length,
    openGates: (await store.gates.list({ open: true })).length,
    spooled: spool.waiting,
    spoolRefused: spool.refused,
  };
}

async function probeTemporal({ engine }: RouteDependencies): Promise<'ok' | 'unavailable'> {
  const { promise: tooLong, resolve } = Promise.withResolvers<'unavailable'>();
  const timer = setTimeout(resolve, probeTimeoutMs, 'unavailable');
  const answer = engine.isOpen('loam/readiness').then(
    () => 'ok' as const,
    () => 'unavailable' as const,
  );
  const state = await Promise.race([answer, tooLong]);
  clearTimeout(timer);
  return state;
}
