import type { LogEvent, RunDetail, RunEvent } from '../../api/schema.ts';
import { addCommand, segment, textOption } from '../command.ts';
import type { Registry, Tools } from '../command.ts';
import { exitCodes, usage } from '../failure.ts';
import { LineWriter } from '../line-writer.ts';
import { findRunPath, pathOf } from '../run-name.ts';
import type { RunPath } from '../run-name.ts';
import { jsonLine } from '../terminal.ts';

export function logCommands(registry: Registry): void {
  addCommand(
    registry,
    registry.program,
    {
      usage: 'logs <run> [task]',
      summary: 'print what the tasks of a run wrote',
      examples: ['loam logs thingy/12 test', 'loam logs thingy/12 -f', 'loam logs thingy test --attempt 1'],
      more: 'With -f it stays until the end, and the exit code is 1 when the run (or with a task: that task) did not succeed.',
    },
    printLogs,
  )
    .option('-f, --follow', 'stay, and print what comes')
    .option('--attempt <number>', 'of this attempt (default: the last)');
}

async function printLogs(
  tools: Tools,
  [run, task]: readonly (string | undefined)[],
  options: Readonly<Record<string, unknown>>,
): Promise<number> {
  const attempt = textOption(options, 'attempt');
  if (attempt !== undefined && task === undefined)
    throw usage('--attempt needs a task', 'Write "loam logs RUN TASK --attempt 1".');
  const path = await findRunPath(tools.client, run);
  const follow = options['follow'] === true;
  if (task === undefined) return follow ? followAll(tools, path) : printAll(tools, path);
  if (!follow) return printOne(tools, path, task, attempt);
  await followOne(tools, path, task, attempt, task, false);
  const detail = await tools.client.request<RunDetail>('GET', pathOf(path));
  return detail.tasks.find((one) => one.name === task)?.status === 'succeeded' ? exitCodes.ok : exitCodes.failed;
}

async function printOne(
  { client, write, isJson }: Tools,
  path: RunPath,
  task: string,
  attempt: string | undefined,
): Promise<number> {
  let offset: string | undefined;
  const lines = new LineWriter(write, '');
  for (;;) {
    const { text, headers } = await client.text(pathOf(path, `/tasks/${segment(task)}/log`, { attempt, offset }));
    if (text !== '' && isJson) write(jsonLine({ task, attempt: Number(headers.get('x-loam-attempt')), text }));
    else lines.add(text);
    const next = headers.get('x-loam-next-offset') ?? undefined;
    if (text === '' || next === undefined || next === offset) break;
    offset = next;
  }
  lines.end();
  return exitCodes.ok;
}

async function printAll(tools: Tools, path: RunPath): Promise<number> {
  const { client, write, isJson, paint } = tools;
  const { tasks, id, finishedAt } = await client.request<RunDetail>('GET', pathOf(path));
  const written = tasks.filter((task) => task.attempt > 0 && hasLog(task.type));
  if (written.length === 0 && !isJson)
    write(
      finishedAt === null
        ? `No task of ${id} has begun yet; "loam logs ${id} -f" waits for them.\n`
        : `No task of ${id} has written anything; "loam show ${id}" tells why it ended.\n`,
    );
  for (const task of written) {
    if (!isJson) write(paint('bold', `== ${task.name} #${task.attempt} ${task.status}\n`));
    await printOne(tools, path, task.name, undefined);
  }
  return exitCodes.ok;
}

/** Each task's log as it begins, all in one stream of lines with the task in front. */
async function followAll(tools: Tools, path: RunPath): Promise<number> {
  const followed = new Map<string, Promise<void>>();
  let status = 'unknown';
  for await (const { data } of tools.client.events(pathOf(path, '/events'))) {
    const event = data as RunEvent;
    if (event.type === 'end') ({ status } = event.run);
    if (event.type !== 'task' || event.task.kept || !hasLog(event.task.type)) continue;
    const { name, attempt } = event.task;
    const key = `${name}#${attempt}`;
    if (attempt > 0 && !followed.has(key)) followed.set(key, followOne(tools, path, name, String(attempt), name, true));
  }
  await Promise.all(followed.values());
  return status === 'succeeded' || status === 'skipped' ? exitCodes.ok : exitCodes.failed;
}

async function followOne(
  { client, write, isJson, paint }: Tools,
  path: RunPath,
  task: string,
  attempt: string | undefined,
  label: string,
  hasPrefix: boolean,
): Promise<void> {
  const lines = new LineWriter(write, hasPrefix ? paint('cyan', `${label.padEnd(12)} | `) : '');
  for await (const { data } of client.events(pathOf(path, `/tasks/${segment(task)}/log`, { attempt }))) {
    const event = data as LogEvent;
    if (event.type === 'end') break;
    if (isJson) write(jsonLine({ task, text: event.text }));
    else lines.add(event.text);
  }
  lines.end();
}

function hasLog(type: string): boolean {
  return type !== 'approval' && type !== 'generate_template';
}
