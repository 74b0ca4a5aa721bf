import { Command, CommanderError } from 'commander';
import { applicationCommands } from './commands/application.ts';
import { auditCommands } from './commands/audit.ts';
import { credentialCommands } from './commands/credential.ts';
import { deliveryCommands } from './commands/delivery.ts';
import { environmentCommands } from './commands/environment.ts';
import { gateCommands } from './commands/gate.ts';
import { keyCommands } from './commands/key.ts';
import { localCommands } from './commands/local.ts';
import { logCommands } from './commands/log.ts';
import { planCommands } from './commands/plan.ts';
import { redeployCommands } from './commands/redeploy.ts';
import { trustCommands } from './commands/trust.ts';
import { runCommands } from './commands/run.ts';
import type { Registry } from './command.ts';
import type { CliContext } from './context.ts';
import { CliFailure, exitCodes } from './failure.ts';
import { cleanText, jsonLine } from './terminal.ts';
import { createPaint, oneLine } from './text.ts';
import type { Paint } from './text.ts';

const closing = `
A run is named application/number, such as thingy/12; thingy alone is its newest run.
Loam is found by LOAM_URL and LOAM_TOKEN, or by the data folder (LOAM_DATA_DIR, or the nearest .loam upwards).

Exit codes: 0 fine, 1 refused or failed, 2 wrong usage, 3 Loam does not answer, 4 not found, 5 not allowed, 130 interrupted.
"loam COMMAND --help" shows options and examples.
`;

/** Runs one command and returns the exit code. Never throws. Whatever it prints goes through one filter. */
export async function runCli(given: CliContext): Promise<number> {
  const context: CliContext = {
    ...given,
    write: (text) => given.write(cleanText(text, given.hasColors)),
    writeError: (text) => given.writeError(cleanText(text, given.hasColors)),
  };
  let code: number = exitCodes.ok;
  const program = makeProgram(context, (ended) => {
    code = ended;
  });
  try {
    await program.parseAsync([...context.args], { from: 'user' });
    return code;
  } catch (error) {
    return reportFailure(context, error);
  }
}

function makeProgram(context: CliContext, finish: (code: number) => void): Command {
  const program = new Command('loam')
    .description('Takes a git commit to production as one durable workflow.')
    .version(context.version)
    .exitOverride()
    .showSuggestionAfterError()
    .addHelpText('after', closing)
    .configureOutput({ writeOut: context.write, writeErr: context.writeError });
  const registry: Registry = { program, context, finish };
  localCommands(registry);
  runCommands(registry);
  logCommands(registry);
  gateCommands(registry);
  planCommands(registry);
  applicationCommands(registry);
  deliveryCommands(registry);
  environmentCommands(registry);
  redeployCommands(registry);
  credentialCommands(registry);
  trustCommands(registry);
  keyCommands(registry);
  auditCommands(registry);
  inherit(program);
  return program;
}

/** Subcommands made by `command()` copy these settings only when they were set before; groups made in between would not. */
function inherit(command: Command): void {
  for (const one of command.commands) {
    one.copyInheritedSettings(command);
    inherit(one);
  }
}

function reportFailure(context: CliContext, error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (context.signal.aborted) return exitCodes.interrupted;
  const failure = error instanceof CliFailure ? error : unexpected(error);
  const isJson = context.args.includes('--json');
  context.writeError(isJson ? describeAsJson(failure) : describe(failure, createPaint(context.hasColors)));
  return failure.exitCode;
}

function unexpected(error: unknown): CliFailure {
  return new CliFailure(exitCodes.failed, error instanceof Error ? error.message : String(error), { code: 'internal' });
}

function describeAsJson({ code, message, remedy, problems }: CliFailure): string {
  return jsonLine({ error: { code, message, remedy, errors: problems } });
}

/** What failed, then what to do. */
function describe({ message, remedy, problems }: CliFailure, paint: Paint): string {
  const others =
    problems.length > 1 ? problems.map((one) => `  ${oneLine(one.pointer)}: ${oneLine(one.message, 500)}\n`) : [];
  return [
    `${paint('red', 'loam:')} ${oneLine(message, 2_000)}\n`,
    ...others,
    ...(remedy === undefined ? [] : [`      ${remedy}\n`]),
  ].join('');
}
