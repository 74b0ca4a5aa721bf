import type { TriggerAnswer } from '../../api/delivery-view.ts';
import type { QueueView, ReleaseView, RunDetail, RunEvent, RunView } from '../../api/schema.ts';
import { addCommand, segment, textOption } from '../command.ts';
import type { Registry, Tools } from '../command.ts';
import { exitCodes, usage } from '../failure.ts';
import { followRun } from '../follow-run.ts';
import { findRunPath, pathOf } from '../run-name.ts';
import { drawRun } from '../run-picture.ts';
import { jsonLine } from '../terminal.ts';
import { ago, oneLine, paintStatus, shortRef, table, took } from '../text.ts';
import type { Paint } from '../text.ts';

export function runCommands(registry: Registry): void {
  listCommands(registry);
  const { program } = registry;
  addCommand(
    registry,
    program,
    {
      usage: 'show <run>',
      summary: 'show a run: its tasks, what it waits for, and its gates with what they would deploy',
      examples: ['loam show thingy/12', 'loam show thingy', 'loam show thingy/12/2 --json'],
    },
    async ({ client, show, paint }, [run]) => {
      const detail = await client.request<RunDetail>('GET', pathOf(await findRunPath(client, run)));
      show(detail, () => drawRun(detail, paint, Date.now()));
      return exitCodes.ok;
    },
  );
  addCommand(
    registry,
    program,
    {
      usage: 'trigger <application>',
      summary: 'start a run of a branch or a commit, as a push would',
      examples: ['loam trigger thingy', 'loam trigger thingy --ref release/1.2', 'loam trigger thingy --wait'],
      more: 'With --wait the exit code is 0 when the run succeeded or waits at a gate, and 1 when it did not.',
    },
    triggerRun,
  )
    .option('--ref <branch>', 'the branch (default: main, else master)')
    .option('--commit <sha>', 'a commit of it, as a full id')
    .option('--wait', 'show how the run goes, until its end or its gate');
  addCommand(
    registry,
    program,
    { usage: 'cancel <run>', summary: 'ask a run to end', examples: ['loam cancel thingy/12'] },
    async ({ client, show }, [run]) => {
      const answer = await client.request<RunView>('POST', pathOf(await findRunPath(client, run), '/cancel'));
      show(answer, () => `${answer.id} was asked to end; "loam show ${answer.id}" shows how it does.\n`);
      return exitCodes.ok;
    },
  );
  addCommand(
    registry,
    program,
    {
      usage: 'retry <run>',
      summary: 'run again what did not succeed; what has succeeded is kept',
      examples: ['loam retry thingy/12', 'loam retry thingy/12 --from build'],
    },
    async ({ client, show }, [run], options) => {
      const from = textOption(options, 'from');
      const body = from === undefined ? {} : { from };
      const answer = await client.request<RunView>('POST', pathOf(await findRunPath(client, run), '/retry'), body);
      show(answer, () => `${answer.id} begins; "loam logs ${answer.id} -f" follows it.\n`);
      return exitCodes.ok;
    },
  ).option('--from <task>', 'also run again this task, and all that needs it');
}

function listCommands(registry: Registry): void {
  const { program } = registry;
  addCommand(
    registry,
    program,
    {
      usage: 'runs [application]',
      summary: 'list the runs, newest first',
      examples: [
        'loam runs',
        'loam runs thingy --status failed',
        'loam runs --watch',
        'loam runs --json | jq .runs[0].id',
      ],
    },
    listRuns,
  )
    .option('--status <status>', 'only runs with this status')
    .option('--limit <count>', 'at most so many (default 20, at most 200)')
    .option('--watch', 'stay, and print a line for each change');
  addCommand(
    registry,
    program,
    {
      usage: 'releases <application>',
      summary: 'list the releases, newest first',
      examples: ['loam releases thingy', 'loam releases thingy --environment production'],
    },
    async ({ client, show, paint }, [application], options) => {
      const environment = textOption(options, 'environment');
      const query = environment === undefined ? '' : `?environment=${segment(environment)}`;
      const document = await client.request<{ releases: ReleaseView[] }>(
        'GET',
        `/v1/applications/${segment(application)}/releases${query}`,
      );
      show(document, () => drawReleases(document.releases, paint));
      return exitCodes.ok;
    },
  ).option('--environment <name>', 'only those of this environment');
  addCommand(
    registry,
    program,
    {
      usage: 'queue',
      summary: 'show what runs and what waits: for a free place, for a lock, for a person',
      examples: ['loam queue'],
    },
    async ({ client, show }) => {
      const queue = await client.request<QueueView>('GET', '/v1/queue');
      show(queue, () => drawQueue(queue));
      return exitCodes.ok;
    },
  );
}

async function listRuns(
  tools: Tools,
  [application]: readonly (string | undefined)[],
  options: Readonly<Record<string, unknown>>,
): Promise<number> {
  const { client, show, paint } = tools;
  if (options['watch'] === true) return watchRuns(tools, application);
  const query = Object.entries({
    application,
    status: textOption(options, 'status'),
    limit: textOption(options, 'limit'),
  })
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${segment(value)}`]))
    .join('&');
  const document = await client.request<{ runs: RunView[] }>('GET', `/v1/runs?${query}`);
  show(document, () => drawRuns(document.runs, paint, application));
  return exitCodes.ok;
}

async function watchRuns({ client, isJson, write, paint }: Tools, application: string | undefined): Promise<number> {
  const query = application === undefined ? '' : `?application=${segment(application)}`;
  for await (const { data } of client.events(`/v1/events${query}`)) {
    const event = data as RunEvent;
    if (event.type !== 'run') continue;
    write(isJson ? jsonLine(event.run) : drawRunLine(event.run, paint));
  }
  return exitCodes.ok;
}

function drawRunLine(run: RunView, paint: Paint): string {
  const reason = run.reason === null ? '' : `  ${oneLine(run.reason, 80)}`;
  return `${run.id.padEnd(16)}  ${paintStatus(paint, run.status, 9)}  ${run.commit.slice(0, 7)}  ${oneLine(run.message, 50)}${reason}\n`;
}

function drawRuns(runs: readonly RunView[], paint: Paint, application: string | undefined): string {
  if (runs.length === 0) {
    const whose = application === undefined ? '' : ` of ${application}`;
    return `No runs${whose} yet: push a commit to a repository that "loam app list" shows, or use "loam trigger".\n`;
  }
  const nowMs = Date.now();
  const rows = runs.map((run) => [
    run.id,
    run.status,
    run.commit.slice(0, 7),
    oneLine(shortRef(run.ref), 24),
    took(run.startedAt, run.finishedAt, nowMs),
    ago(run.createdAt, nowMs),
    oneLine(run.reason ?? run.message, 60),
  ]);
  return table(rows, (cell, column) =>
    column === 1 ? paintStatus(paint, cell.trim()) + cell.slice(cell.trim().length) : cell,
  );
}

function drawReleases(releases: readonly ReleaseView[], paint: Paint): string {
  if (releases.length === 0) return 'No releases yet: a run makes one when it deploys.\n';
  const rows = releases.map((one) => [
    one.environment,
    `#${one.number}`,
    one.status,
    one.commit.slice(0, 12),
    one.run,
    one.liveAt ?? one.createdAt,
    oneLine(one.reason ?? one.image ?? '', 80),
  ]);
  return table(rows, (cell, column) =>
    column === 2 ? paintStatus(paint, cell.trim()) + cell.slice(cell.trim().length) : cell,
  );
}

function drawQueue({ capacity, running, waiting, locks, gates }: QueueView): string {
  const rows = [
    ...running.map((one) => ['running', `${one.run} ${one.task}`, one.reason ?? '']),
    ...waiting.map((one) => [`place ${one.position}`, `${one.run} ${one.task}`, 'waits for a free place']),
    ...locks.map((one) => ['lock', `${one.run} ${one.task}`, oneLine(one.reason ?? 'waits for its environment')]),
    ...gates.map((one) => ['gate', `${one.run} ${one.gate}`, `waits for a person, until ${one.deadlineAt}`]),
  ];
  const head = `${running.length} of ${capacity} places taken, ${waiting.length} waiting\n`;
  return `${head}${table(rows)}`;
}

async function triggerRun(
  tools: Tools,
  [application]: readonly (string | undefined)[],
  options: Readonly<Record<string, unknown>>,
): Promise<number> {
  const { client } = tools;
  const [ref, commit] = [textOption(options, 'ref'), textOption(options, 'commit')];
  if (commit !== undefined && !/^[0-9a-f]{40}$/.test(commit)) {
    throw usage('--commit takes a full commit id', 'git rev-parse HEAD prints it.');
  }
  const answer = await client.request<TriggerAnswer>(
    'POST',
    `/v1/applications/${segment(application)}/runs`,
    { ...(ref !== undefined && { ref }), ...(commit !== undefined && { commit }) },
    { 'idempotency-key': crypto.randomUUID() },
  );
  return showStart(tools, answer, options);
}

/** What became of a request for a run; with `--wait`, how that run goes. */
export async function showStart(
  tools: Tools,
  answer: TriggerAnswer,
  options: Readonly<Record<string, unknown>>,
): Promise<number> {
  const run = options['wait'] === true ? answer.run : null;
  if (!tools.isJson || run === null) tools.show(answer, () => drawAnswer(answer));
  return run === null ? exitCodes.ok : awaitRun(tools, run);
}

function drawAnswer({ result, run, reason, temporalUrl }: TriggerAnswer): string {
  const link = temporalUrl === null ? '' : `${temporalUrl}\n`;
  return `${result}: ${run ?? oneLine(reason ?? '')}\n${link}`;
}

async function awaitRun({ client, isJson, write }: Tools, run: string): Promise<number> {
  const path = pathOf(await findRunPath(client, run), '/events');
  const end = await followRun(client, path, (lines, event) => {
    write(isJson ? jsonLine(event) : lines.map((line) => `${line}\n`).join(''));
  });
  return end === 'succeeded' || end === 'paused' ? exitCodes.ok : exitCodes.failed;
}
