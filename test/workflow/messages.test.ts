// I3, I4: the authorisation matrix of the durable messages, from their table. Whoever reaches Temporal can send any of them, in any form.
import type { WorkflowHandle } from '@temporalio/client';
import { expect, it } from 'vitest';
import { environmentWorkflowId, lockHolder, parseEnvironmentName } from '../../src/core/model/ids.ts';
import type { ApplicationName, TaskName } from '../../src/core/model/ids.ts';
import * as messages from '../../workflows/messages.ts';
import { routeRules } from '../support/access-rules.ts';
import { describeRuns } from '../support/describe-runs.ts';
import { Held, failure } from '../support/fake-activities.ts';
import type { AttemptContext } from '../support/fake-activities.ts';
import { makeApproval, makeDeploy, makeGraph } from '../support/graphs.ts';
import { messageRules } from '../support/message-rules.ts';
import { until } from '../support/run-bed.ts';
import type { Bed, StartedRun } from '../support/run-bed.ts';

const rules = Object.entries(messageRules);
/** Their receiver does not go on after them. */
const ending = ['lockGranted', 'lockSuperseded'];
const graph = makeGraph([makeApproval('approve'), makeDeploy('staging')]);

/** Arguments that no sender of Loam's uses. */
const malformed: readonly (readonly unknown[])[] = [
  [],
  [null],
  [7],
  ['x'],
  [[]],
  [{}],
  [{ holder: null }],
  [{ holder: { toString: 1 } }, { toString: 1 }],
  [{ holder: '', fence: 'x', by: 1 }],
  ['__proto__', '__proto__'],
  [{ toString: 1 }, {}],
];

interface Stage {
  readonly bed: Bed;
  /** Deploys, and holds the lock. */
  readonly holder: StartedRun & { readonly held: Held };
  /** Waits at its gate, with a deploy that waits for the same lock. */
  readonly waiting: StartedRun;
  readonly lock: WorkflowHandle;
  readonly deployed: readonly string[];
}

let nextApplication = 0;

/** As in the world: a fence that was not given to the deploy is refused by its row. */
async function setStage(bed: Bed): Promise<Stage> {
  const application = `forged-${String((nextApplication += 1))}` as ApplicationName;
  const held = new Held();
  const deployed: string[] = [];
  const deploy = (end: Held['behaviour']) => (context: AttemptContext) => {
    const holder = lockHolder(context.run, context.task, context.attempt);
    if (bed.world.fences.get(holder) !== context.fence) throw failure('fence-stale', 'not its fence');
    deployed.push(context.run);
    return end();
  };
  const holding = makeGraph([makeDeploy('staging')]);
  const first = await bed.start({ graph: holding, behaviours: { staging: deploy(held.behaviour) } }, { application });
  await until(() => deployed.length === 1, 'the first deploys');
  const ended = () => Promise.resolve({ status: 'succeeded' } as const);
  const plan = { graph, behaviours: { staging: deploy(ended) } };
  const waiting = await bed.start(plan, { application, number: 2 });
  await until(() => bed.world.recordsOf(waiting.id)['approve']?.startsWith('paused') === true, 'the gate is open');
  await until(
    () => bed.world.recordsOf(waiting.id)['staging']?.startsWith('waiting') === true,
    'it waits for the lock',
  );
  const lock = bed.client.workflow.getHandle(environmentWorkflowId(application, parseEnvironmentName('staging')));
  return { bed, holder: { ...first, held }, waiting, lock, deployed };
}

function isAtItsGate({ bed, waiting }: Stage): boolean {
  return bed.world.recordsOf(waiting.id)['approve']?.startsWith('paused') === true;
}

function targetOf({ waiting, lock }: Stage, name: string): WorkflowHandle {
  return messageRules[name]?.workflow === 'run' ? waiting.handle : lock;
}

/** The answer, or `refused`. A workflow that cannot go on answers nothing at all, and the test ends by its deadline. */
async function send(stage: Stage, name: string, args: readonly unknown[]): Promise<unknown> {
  const handle = targetOf(stage, name);
  const kind = messageRules[name]?.kind;
  if (kind === 'signal') return handle.signal(name, ...args);
  const update = { args: [...args] as [unknown, ...unknown[]] };
  const answer = kind === 'query' ? handle.query(name, ...args) : handle.executeUpdate(name, update);
  return answer.catch(() => 'refused');
}

async function endOf({ handle }: StartedRun): Promise<string> {
  return handle.result().then(
    ({ status }) => status,
    () => 'failed',
  );
}

it('has a rule for every message, and a message for every rule', () => {
  const table = Object.values(messages).map(({ type, name }) => [name, type]);

  expect(Object.fromEntries(table)).toEqual(Object.fromEntries(rules.map(([name, { kind }]) => [name, kind])));
  expect(Object.keys(messages).sort()).toEqual(Object.keys(messageRules).sort());
});

it('has a role behind every message that a person causes', () => {
  for (const [name, { route, keeps }] of rules) {
    if (route === undefined) continue;
    const [role = ''] = routeRules[route] ?? [];
    expect(['approver', 'viewer'], name).toContain(role);
    expect(role === 'viewer', name).toBe(keeps === 'nothing');
  }
});

/** By message, in the order in which they are sent: with what Loam itself would say, but for a decision or a fence that there is not. */
function forge({ bed, holder, waiting }: Stage): Readonly<Record<string, readonly (readonly unknown[])[]>> {
  const mine = lockHolder(waiting.id, 'staging' as TaskName, 1);
  const theirs = lockHolder(holder.id, 'staging' as TaskName, 1);
  bed.world.decide({ id: 'of-another', run: holder.id, gate: 'approve' as TaskName, verdict: 'approved' });
  return {
    runView: [[]],
    lockState: [[]],
    decide: ['of-nothing', 'of-another', ''].map((id) => ['approve', id]),
    acquire: [[{ holder: 'run/nothing/1/staging#1' }], [{ holder: mine }]],
    release: [[{ holder: 'run/nothing/1/staging#1' }], [{ holder: theirs }]],
    lockGranted: [[{ holder: mine, fence: bed.world.fences.get(theirs) }]],
    lockSuperseded: [[{ holder: mine, by: theirs }]],
  };
}

describeRuns('a message that anybody sent to Temporal', (bed) => {
  it('is refused or dropped when it is malformed, whichever it is, and holds up nothing', async () => {
    const stage = await setStage(bed());
    for (const [name] of rules) for (const args of malformed) await send(stage, name, args);

    expect(stage.deployed).toHaveLength(1);
    expect(isAtItsGate(stage)).toBe(true);
    stage.holder.held.end();
    expect(await endOf(stage.holder)).toBe('succeeded');
    await stage.bed.approve(stage.waiting, 'approve');
    expect(await endOf(stage.waiting)).toBe('succeeded');
    expect(stage.deployed).toHaveLength(2);
  });

  it('decides nothing, and lets no deploy begin without a fence of its own', async () => {
    const stage = await setStage(bed());
    const forged = Object.entries(forge(stage)).filter(([name]) => !ending.includes(name));
    expect(
      forged
        .map(([name]) => name)
        .concat(ending)
        .sort(),
    ).toEqual(Object.keys(messageRules).sort());
    for (const [name, calls] of forged) {
      for (const args of calls) {
        const answer = await send(stage, name, args);
        const { keeps } = messageRules[name] ?? {};
        if (keeps === 'row' || keeps === 'nothing') expect(answer === 'refused', name).toBe(keeps === 'row');
      }
      expect(isAtItsGate(stage), name).toBe(true);
    }
    stage.holder.held.end();
    expect(await endOf(stage.holder)).toBe('succeeded');
    await stage.bed.approve(stage.waiting, 'approve');
    expect(await endOf(stage.waiting)).toBe('succeeded');
    expect(stage.deployed).toEqual([stage.holder.id, stage.waiting.id]);
  });

  it.each(ending)('at most ends the deploy that it is about: %s', async (name) => {
    const stage = await setStage(bed());
    for (const args of forge(stage)[name] ?? []) await send(stage, name, args);

    expect(await endOf(stage.waiting)).not.toBe('succeeded');
    stage.holder.held.end();
    expect(await endOf(stage.holder)).toBe('succeeded');
    expect(stage.deployed).toEqual([stage.holder.id]);
  });
});
