import type { Command } from 'commander';
import { createApiClient } from './api-client.ts';
import type { ApiClient } from './api-client.ts';
import type { CliContext } from './context.ts';
import { findServer } from './server.ts';
import { jsonLine } from './terminal.ts';
import { createPaint } from './text.ts';
import type { Paint } from './text.ts';

/** What a command works with. */
export interface Tools {
  readonly context: CliContext;
  readonly client: ApiClient;
  readonly isJson: boolean;
  readonly paint: Paint;
  /** With `--json` the document, in one line; else the text. */
  readonly show: (document: unknown, render: () => string) => void;
  readonly write: (text: string) => void;
}

export interface CommandSpec {
  /** With its arguments, as commander writes them: `show <run>`. */
  readonly usage: string;
  readonly summary: string;
  readonly examples: readonly string[];
  readonly more?: string;
}

export type Options = Readonly<Record<string, unknown>>;

/** The action gets its arguments as texts, then its options; it returns the exit code. */
type Action = (tools: Tools, args: readonly (string | undefined)[], options: Options) => Promise<number>;

/** What the command files get: where to hang their commands, and where these say how they ended. */
export interface Registry {
  readonly program: Command;
  readonly context: CliContext;
  readonly finish: (code: number) => void;
}

/** A command with `--json` and examples. */
export function addCommand({ context, finish }: Registry, parent: Command, spec: CommandSpec, action: Action): Command {
  const command = parent.command(spec.usage).description(spec.summary);
  command.option('--json', 'print JSON: one document, or a line each for what goes on');
  addExamples(command, spec.examples, spec.more);
  command.action(async (...given: unknown[]) => {
    // Commander gives arguments, options and the command itself, in this order.
    const args = given.slice(0, -2).map((one) => (typeof one === 'string' ? one : undefined));
    const options = command.opts();
    const isJson = options['json'] === true;
    finish(await action(makeTools(context, isJson), args, options));
  });
  return command;
}

function makeTools(context: CliContext, isJson: boolean): Tools {
  return {
    context,
    client: createApiClient(() => findServer(context), context.signal),
    isJson,
    paint: createPaint(context.hasColors),
    show: (document, render) => {
      context.write(isJson ? jsonLine(document) : render());
    },
    write: context.write,
  };
}

export function addExamples(command: Command, examples: readonly string[], more?: string): void {
  const lines = examples.map((one) => `  $ ${one}\n`).join('');
  command.addHelpText('after', `\nExamples:\n${lines}${more === undefined ? '' : `\n${more}\n`}`);
}

export function addGroup({ program }: Registry, name: string, summary: string): Command {
  return program.command(name).description(summary);
}

export function textOption(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

export function listOption(options: Options, name: string): readonly string[] | undefined {
  const value = options[name];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : undefined;
}

export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

export function segment(text: string | undefined): string {
  return encodeURIComponent(text ?? '');
}
