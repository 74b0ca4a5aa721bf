import type { GateView, RunDetail, RunView } from '../api/schema.ts';
import type { Paint } from './text.ts';
import { ago, duration, oneLine, paintStatus, shortRef, table, took } from './text.ts';

type TaskDetail = RunDetail['tasks'][number];

const bullets: Readonly<Record<string, string>> = {
  succeeded: '✔',
  failed: '✘',
  cancelled: '■',
  skipped: '-',
  running: '▶',
  waiting: '…',
  paused: '?',
  pending: '·',
};

/** A run as a person reads it: what it is, how each task stands, what it waits for, what to do next. */
export function drawRun(detail: RunDetail, paint: Paint, nowMs: number): string {
  const parts = [drawHead(detail, paint, nowMs), drawTasks(detail, paint, nowMs)];
  if (detail.warnings.length > 0)
    parts.push(detail.warnings.map((one) => `${paint('yellow', 'warning:')} ${oneLine(one, 300)}\n`).join(''));
  for (const gate of detail.gates) parts.push(drawGate(detail, gate, paint, nowMs));
  const next = nextStep(detail);
  if (next !== undefined) parts.push(`${next}\n`);
  return parts.filter((part) => part !== '').join('\n');
}

function drawHead(run: RunView, paint: Paint, nowMs: number): string {
  const time = took(run.startedAt ?? run.createdAt, run.finishedAt, nowMs);
  const lines = [
    `${paint('bold', run.id)}  ${paintStatus(paint, run.status)}  ${time}`,
    `  commit    ${run.commit.slice(0, 12)} on ${oneLine(shortRef(run.ref))}: ${oneLine(run.message)}${run.author === '' ? '' : ` (${oneLine(run.author)})`}`,
    `  received  ${run.createdAt} (${ago(run.createdAt, nowMs)})`,
    ...(run.reason === null
      ? []
      : [`  reason    ${drawReason(run.reason)}${run.code === null ? '' : ` [${run.code}]`}`]),
    ...(run.cancelRequestedBy !== null && (run.finishedAt === null || run.status === 'cancelled')
      ? [`  cancel    asked for by ${oneLine(run.cancelRequestedBy)}`]
      : []),
    ...(run.temporalUrl === null ? [] : [`  temporal  ${run.temporalUrl}`]),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** The errors of a plan are a line each. */
function drawReason(reason: string): string {
  return reason
    .split('\n')
    .map((line) => oneLine(line, 500))
    .join('\n            ');
}

function drawTasks({ tasks, finishedAt }: RunDetail, paint: Paint, nowMs: number): string {
  if (tasks.length === 0)
    return finishedAt === null ? 'No tasks yet: the plan of the commit has not been read.\n' : 'No tasks.\n';
  const rows = tasks.map((task) => [
    `  ${bullets[task.status] ?? ' '}`,
    task.name,
    task.type,
    task.kept ? `${task.status} (kept)` : task.status,
    took(task.startedAt, task.finishedAt, nowMs),
    noteOf(task),
  ]);
  const styleOf = (cell: string): string =>
    paintStatus(paint, cell.trim().split(' ')[0] ?? '', 0).replace(cell.trim().split(' ')[0] ?? '', cell);
  return table(rows, (cell, column) => (column === 3 ? styleOf(cell) : cell));
}

function noteOf({ attempt, status, reason, attempts }: TaskDetail): string {
  const exitCode = attempts.at(-1)?.exitCode;
  const said = reason ?? (status === 'failed' && typeof exitCode === 'number' ? `exit code ${exitCode}` : '');
  const notes = [attempt > 1 ? `attempt ${attempt}` : '', oneLine(said, 160)];
  return notes.filter((note) => note !== '').join(', ');
}

function drawGate(run: RunView, gate: GateView, paint: Paint, nowMs: number): string {
  const title = `${paint('bold', `Gate ${gate.gate}`)} for ${gate.environment}: ${paintStatus(paint, gate.status)}`;
  const { decision } = gate;
  if (decision !== null) {
    const comment = decision.comment === '' ? '' : `: ${oneLine(decision.comment, 200)}`;
    return `${title}, ${decision.verdict} by ${oneLine(decision.by)} at ${decision.at}${comment}\n`;
  }
  if (gate.status !== 'open') return `${title}\n`;
  const left = duration(Date.parse(gate.deadlineAt) - nowMs);
  if (gate.reconnect !== null) {
    const { trust, task, reason } = gate.reconnect;
    return [
      `${title}, ${left} left`,
      `  waits    ${task} needs the trust ${oneLine(trust)}: ${oneLine(reason, 300)}`,
      `  go on    ${paint('bold', `loam trust reconnect ${oneLine(trust)}`)}`,
    ]
      .map((line) => `${line}\n`)
      .join('');
  }
  const lines = [
    `${title}, ${left} left`,
    ...describePreview(gate).map((line) => `  ${line}`),
    `  approve  ${paint('bold', `loam approve ${run.id} ${gate.gate}`)}`,
    `  reject   loam reject ${run.id} ${gate.gate} --comment "why"`,
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** What a person sees before deciding; also what the pusher's terminal shows. */
export function describePreview({ preview, subjects }: GateView): readonly string[] {
  const from =
    preview.fromRelease === null
      ? 'nothing yet'
      : `release ${preview.fromRelease} (${(preview.fromCommit ?? '').slice(0, 12)})`;
  const commits = preview.commits.map(
    (one) => `  ${one.sha.slice(0, 12)} ${oneLine(one.subject)}${one.author === '' ? '' : ` (${oneLine(one.author)})`}`,
  );
  const config = [
    ...preview.configAdded.map((key) => `+${key}`),
    ...preview.configRemoved.map((key) => `-${key}`),
    ...preview.configChanged.map((key) => `~${key}`),
  ];
  return [
    `from     ${from}`,
    `to       ${preview.toCommit.slice(0, 12)}`,
    ...(commits.length === 0
      ? []
      : [`commits  ${commits.length}${preview.moreCommits ? ' and more' : ''}`, ...commits]),
    ...(config.length === 0 ? [] : [`config   ${config.join(' ')}`]),
    ...(preview.digest === null ? [] : [`image    ${preview.digest}`]),
    ...subjects.map((one) => `deploys  ${one.task}: template ${one.template.slice(0, 19)}`),
  ];
}

function nextStep(detail: RunDetail): string | undefined {
  const { id, status, application, number } = detail;
  if (status === 'failed') {
    const failed = detail.tasks.find((task) => task.status === 'failed');
    const look = failed === undefined ? '' : `"loam logs ${id} ${failed.name}" shows why; `;
    return `${look}"loam retry ${application}/${number}" runs again what is left.`;
  }
  if (status === 'running') return `"loam logs ${id} -f" follows it.`;
  return undefined;
}
