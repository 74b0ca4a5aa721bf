import { runUp } from './supervisor/up-command.ts';

process.exitCode = await runUp(process.argv.slice(2));
