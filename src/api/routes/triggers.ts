import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { serveEvents } from '../event-stream.ts';
import { followRun } from '../follow.ts';
import { defineStream } from '../route.ts';
import type { Route } from '../route.ts';
import type { RunReader } from '../run-reader.ts';
import { TriggerAnswer } from '../delivery-view.ts';
import { PositiveNumber } from '../fields.ts';
import { isSignedBy } from '../signature.ts';
import { GenericBody, GitHubBody, header } from '../delivery.ts';
import { Secret } from '../../ports/secret.ts';

const TriggerId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);
const maxClockGapMs = 5 * 60_000;

export function triggerRoutes(dependencies: RouteDependencies, reader: RunReader): readonly Route[] {
  return [
    defineStream({
      method: 'post',
      path: '/v1/triggers/{trigger}',
      access: 'trigger',
      scope: 'none',
      summary: 'Takes a signed delivery of a forge or a hook: 202 when it starts a run, 200 when it does not',
      body: z.union([GenericBody, GitHubBody]),
      answers: { 202: { 'application/json': TriggerAnswer }, 200: { 'application/json': TriggerAnswer } },
      readsRawBody: true,
      params: z.object({ trigger: z.string().max(100) }),
      handle: async ({ params, request, response }) => {
        const body: unknown = request.body;
        const answer = await dependencies.receive(
          params.trigger,
          request.headers,
          Buffer.isBuffer(body) ? body : Buffer.alloc(0),
        );
        response.status(answer.result === 'accepted' ? 202 : 200).json(answer);
      },
    }),
    defineStream({
      method: 'get',
      path: '/v1/triggers/{trigger}/runs/{number}/events',
      access: 'trigger',
      scope: 'none',
      summary: 'A run for who pushed it: the signature is over time and path (x-loam-time, x-hub-signature-256)',
      answers: { 200: { 'text/event-stream': z.string() } },
      params: z.object({ trigger: TriggerId, number: PositiveNumber }),
      handle: async ({ params, request, response, signal }) => {
        const application = await authenticateReader(dependencies, params.trigger, request.headers, request.path);
        const { id } = await reader.require({ application, number: params.number, round: 1 });
        await serveEvents(response, signal, (stream) => followRun(reader, id, stream));
      },
    }),
  ];
}

/** Who may push may see how that push's run goes, and needs no token for it. */
async function authenticateReader(
  { store }: RouteDependencies,
  trigger: string,
  headers: Parameters<typeof header>[0],
  path: string,
) {
  const time = header(headers, 'x-loam-time') ?? '';
  const known = await store.applications.byTrigger(trigger);
  const secret = known?.secret ?? new Secret(createHash('sha256').update(trigger).digest('hex'));
  const isSigned = isSignedBy(secret, `${time}\n${path}`, header(headers, 'x-hub-signature-256'));
  const isFresh = /^[0-9]{1,15}$/.test(time) && Math.abs(Date.now() - Number(time)) < maxClockGapMs;
  if (known !== undefined && isSigned && isFresh) return known.application.name;
  throw new DomainError('signature-invalid', 'The header x-hub-signature-256 does not fit time and path');
}
