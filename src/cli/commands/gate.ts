import type { DecisionAnswer, GateView, RunDetail } from '../../api/schema.ts';
import { addCommand, segment, textOption } from '../command.ts';
import type { Registry, Tools } from '../command.ts';
import { CliFailure, exitCodes } from '../failure.ts';
import { findRunPath, pathOf } from '../run-name.ts';
import { oneLine } from '../text.ts';

type Verdict = 'approved' | 'rejected';

export function gateCommands(registry: Registry): void {
  const kinds = [
    { name: 'approve', verdict: 'approved', summary: 'approve what a gate would deploy ("loam show RUN" shows it)' },
    { name: 'reject', verdict: 'rejected', summary: 'reject it: what comes after the gate is not done' },
  ] as const;
  for (const { name, verdict, summary } of kinds) {
    addCommand(
      registry,
      registry.program,
      {
        usage: `${name} <run> [gate]`,
        summary,
        examples: [`loam ${name} thingy/12`, `loam ${name} thingy/12 approve --comment "looked at staging"`],
        more: 'Without a gate: the one that is open. The first decision counts; deciding again shows it, with exit code 1 when it was another one.',
      },
      (tools, [run, gate], options) => decide(tools, verdict, run, gate, textOption(options, 'comment')),
    ).option('--comment <text>', 'why; kept with the decision');
  }
}

async function decide(
  tools: Tools,
  verdict: Verdict,
  run: string | undefined,
  name: string | undefined,
  comment = '',
): Promise<number> {
  const { client, show, paint } = tools;
  const path = await findRunPath(client, run);
  const detail = await client.request<RunDetail>('GET', pathOf(path));
  const gate = chooseGate(detail, name);
  const body = { verdict, comment, ...(gate?.status === 'open' && { opening: gate.opening }) };
  const answer = await client.request<DecisionAnswer>(
    'POST',
    pathOf(path, `/gates/${segment(gate?.gate ?? name)}/decisions`),
    body,
  );
  const { decision, repeated } = answer;
  const agrees = decision.verdict === verdict;
  show(answer, () => {
    const head = `${detail.id} ${decision.gate}: ${paint(decision.verdict === 'approved' ? 'green' : 'red', decision.verdict)}`;
    if (!repeated) return `${head}; "loam logs ${detail.id} -f" follows the run.\n`;
    const said = decision.comment === '' ? '' : ` ("${oneLine(decision.comment)}")`;
    return `${head} already, by ${oneLine(decision.by)} at ${decision.at}${said}. The first decision counts.\n`;
  });
  return agrees ? exitCodes.ok : exitCodes.failed;
}

function chooseGate({ id, gates }: RunDetail, name: string | undefined): GateView | undefined {
  if (name !== undefined) return gates.findLast((one) => one.gate === name);
  const open = gates.filter((one) => one.status === 'open' && one.reconnect === null);
  const [first] = open;
  if (first !== undefined && open.length === 1) return first;
  if (open.length > 1) {
    const names = open.map((one) => one.gate).join(', ');
    throw new CliFailure(exitCodes.usage, `${id} waits at several gates: ${names}`, {
      code: 'usage',
      remedy: 'Name one of them.',
    });
  }
  refuseReconnect(id, gates);
  const decided = gates.at(-1);
  if (decided?.decision !== null && decided?.decision !== undefined) return decided; // shows the decision that is there
  throw new CliFailure(exitCodes.notFound, `No gate of ${id} is open`, {
    code: 'gate-unknown',
    remedy: `"loam show ${id}" shows what it waits for.`,
  });
}

/** A gate that waits for a trust takes no verdict. */
function refuseReconnect(id: string, gates: readonly GateView[]): void {
  for (const { status, reconnect } of gates) {
    if (status !== 'open' || reconnect === null) continue;
    throw new CliFailure(exitCodes.failed, `${id} waits for the trust ${reconnect.trust}, not for a verdict`, {
      code: 'gate-unknown',
      remedy: `"loam trust reconnect ${reconnect.trust}" lets it go on.`,
    });
  }
}
