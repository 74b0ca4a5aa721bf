// The post-receive hook. It starts with each push, so it loads little; the push is done, so it never fails.
import { enableCompileCache } from 'node:module';

enableCompileCache(); // before the first import that it shall help
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => process.exit(0)); // the pusher has gone
const { runHook } = await import('../cli/hook.ts');
await runHook({
  settingsFile: process.argv[2] ?? '',
  input: process.stdin,
  write: (line) => void process.stdout.write(`${line}\n`),
});
process.exit(0);
