// I4: the decision is a row that names its person; Temporal only hears that there is one. Deciding twice is one decision.
import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import { applicationOfRun, demand, onlySeen } from '../authenticate.ts';
import type { RouteDependencies } from '../dependencies.ts';
import { defineRoute } from '../route.ts';
import type { Route } from '../route.ts';
import type { RunReader } from '../run-reader.ts';
import { TaskNameText, text } from '../fields.ts';
import { DecisionAnswer, GateView } from '../schema.ts';
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
      scope: 'seen',
      summary: 'Lists the gates that wait for a person',
      answer: z.object({ gates: z.array(GateView) }),
      handle: async ({ caller }) => {
        const gates = onlySeen(caller(), await store.gates.list({ open: true }), applicationOfRun);
        return { gates: gates.map((gate) => viewGate(gate, [])) };
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/runs/{application}/{number}/gates/{gate}/decisions',
      access: 'approver',
      scope: 'gate',
      recorded: ['verdict', 'opening'],
      summary: 'Approves or rejects; the first decision of an opening counts',
      status: 201,
      params: RunParams.extend({ gate: TaskNameText }),
      body: NewDecision,
      answer: DecisionAnswer,
      handle: async ({ params, body, caller }) => {
        const { id } = await reader.require(addressOf(params, {}));
        const gate = await store.gates.get(id, params.gate);
        if (gate === undefined) throw new DomainError('gate-unknown', `The run ${id} has no gate "${params.gate}"`);
        demand(caller(), 'approver', { application: params.application, environment: gate.environment });
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
