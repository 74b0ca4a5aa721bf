import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Problem } from '../../core/errors.ts';
import type { PlanCheck } from '../../core/plan/plan.ts';
import { addCommand } from '../command.ts';
import type { Registry, Tools } from '../command.ts';
import type { CliContext } from '../context.ts';
import { CliFailure, exitCodes } from '../failure.ts';
import { readInput } from '../input.ts';
import type { Paint } from '../text.ts';
import { oneLine } from '../text.ts';

const maxPlanBytes = 1_048_576;

export function planCommands(registry: Registry): void {
  addCommand(
    registry,
    registry.program,
    {
      usage: 'validate [file]',
      summary: 'check a plan, without a server: every problem at once, each with its place and what to do',
      examples: ['loam validate', 'loam validate path/to/loam.yaml', 'git show HEAD:loam.yaml | loam validate -'],
      more: 'The exit code is 1 when there are errors; warnings alone are fine.',
    },
    validate,
  );
}

async function validate(
  { context, show, paint }: Tools,
  [file = 'loam.yaml']: readonly (string | undefined)[],
): Promise<number> {
  const text = file === '-' ? await readInput(context.input, maxPlanBytes) : await readPlan(context, file);
  const check = await context.checkPlan(text);
  const { errors, warnings } = check;
  const tasks = check.compiled?.graph.tasks.map((task) => ({ name: task.name, type: task.type, needs: task.needs }));
  show({ file, valid: check.compiled !== undefined, errors, warnings, tasks: tasks ?? [] }, () =>
    drawCheck(file, check, paint),
  );
  return check.compiled === undefined ? exitCodes.failed : exitCodes.ok;
}

async function readPlan({ folder }: CliContext, file: string): Promise<string> {
  const full = path.resolve(folder, file);
  try {
    const { size } = await stat(full);
    if (size > maxPlanBytes)
      throw new CliFailure(exitCodes.failed, `${file} is larger than a plan may be`, { code: 'input-too-large' });
    return await readFile(full, 'utf8');
  } catch (error) {
    if (error instanceof CliFailure) throw error;
    throw new CliFailure(exitCodes.notFound, `${file} cannot be read`, {
      code: 'plan-missing',
      remedy: 'Name the file: "loam validate path/to/loam.yaml", or "-" for standard input.',
    });
  }
}

/** `file:line:column: error code: message`, as compilers print it: editors jump to such places. */
function drawCheck(file: string, { compiled, errors, warnings }: PlanCheck, paint: Paint): string {
  const name = file === '-' ? '<stdin>' : file;
  const lines = [
    ...errors.map((one) => drawProblem(name, one, paint('red', 'error'), paint)),
    ...warnings.map((one) => drawProblem(name, one, paint('yellow', 'warning'), paint)),
  ];
  const counts = [count(errors.length, 'error'), count(warnings.length, 'warning')]
    .filter((one) => one !== '')
    .join(', ');
  const verdict = compiled === undefined ? paint('red', 'not valid') : paint('green', 'valid');
  const size = compiled === undefined ? '' : `, ${count(compiled.graph.tasks.length, 'task')}`;
  return `${lines.join('')}${name}: ${verdict}${size}${counts === '' ? '' : ` (${counts})`}\n`;
}

function drawProblem(
  file: string,
  { line, column, code, message, remedy }: Problem,
  kind: string,
  paint: Paint,
): string {
  const place = [file, line, column].filter((one) => one !== undefined).join(':');
  const advice = remedy === undefined ? '' : `    ${paint('dim', oneLine(remedy, 300))}\n`;
  return `${place}: ${kind} ${code ?? 'plan-invalid'}: ${oneLine(message, 300)}\n${advice}`;
}

function count(number: number, noun: string): string {
  return number === 0 ? '' : `${number} ${noun}${number === 1 ? '' : 's'}`;
}
