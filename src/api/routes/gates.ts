// I4: the decision is a row that names its person; Temporal only hears that there is one. Deciding twice is one decision.
import { z } from 'zod';
import type { RouteDependencies } from '../dependencies.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';
import type { RunReader } from '../run-reader.ts';
import { DecisionAnswer, GateView, TaskNameText, text } from '../schema.ts';
import { viewDecision, viewGate } from '../view.ts';
import { RunParams, addressOf } from './runs.ts';

const NewDecision = z.strictObject({
  verdict: z.enum(['approved', 'rejected']),
  comment: text(1_000).default(''),
  /** The opening that the person looked at: a gate that was asked again meanwhile, with other digests, is not decided by it. */
  opening: z.int().positive().optional(),
});

export function gateRoutes(dependencies: RouteDependencies, reader: RunReader): readonly Route[] {
  const { store, logger, wake } = dependencies;
  return [
    defineRoute({
      method: 'get',
      path: '/v1/gates',
      access: 'viewer',
      summary: 'Lists the gates that wait for a person',
      answer: z.object({ gates: z.array(GateView) }),
      handle: async () => ({ gates: (await store.gates.list({ open: true })).map((gate) => viewGate(gate, [])) }),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/runs/{application}/{number}/gates/{gate}/decisions',
      access: 'approver',
      summary: 'Approves or rejects; the first decision of an opening counts',
      status: 201,
      params: RunParams.extend({ gate: TaskNameText }),
      body: NewDecision,
      answer: DecisionAnswer,
      handle: async ({ params, body, caller }) => {
        const { id } = await reader.require(addressOf(params, {}));
        const { verdict, comment, opening } = body;
        const { decision, repeated } = await store.gates.decide(id, params.gate, {
          verdict,
          comment,
          by: caller().name,
          ...(opening !== undefined && { opening }),
        });
        wake();
        logger.info(
          { runId: id, gate: params.gate, verdict: decision.verdict, by: decision.by, repeated },
          'gate decided',
        );
        return { decision: viewDecision(decision), repeated };
      },
    }),
  ];
}
