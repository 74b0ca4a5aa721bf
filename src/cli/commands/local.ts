import { addExamples } from '../command.ts';
import type { Registry } from '../command.ts';

/** Commands that `main` brings: they start and end processes of this machine. */
export function localCommands({ program, context, finish }: Registry): void {
  for (const { group, name, summary, options, examples, run } of context.local) {
    const known = program.commands.find((one) => one.name() === group?.name);
    const parent = group === undefined ? program : (known ?? program.command(group.name).description(group.summary));
    const command = parent.command(name).description(summary);
    for (const { flags, description } of options) command.option(flags, description);
    addExamples(command, examples);
    command.action(async () => {
      finish(await run(command.opts(), command.args));
    });
  }
}
