import { addExamples } from '../command.ts';
import type { Registry } from '../command.ts';

/** Commands that `main` brings: they start and end processes of this machine. */
export function localCommands({ program, context, finish }: Registry): void {
  for (const { name, summary, options, examples, run } of context.local) {
    const command = program.command(name).description(summary);
    for (const { flags, description } of options) command.option(flags, description);
    addExamples(command, examples);
    command.action(async () => {
      finish(await run(command.opts()));
    });
  }
}
