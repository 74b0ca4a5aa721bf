// The post-receive hook. It starts with each push, so it loads little; the push is done, so it never fails.
import { runHook } from '../cli/hook.ts';

for (const stream of [process.stdout, process.stderr]) stream.on('error', () => process.exit(0)); // the pusher has gone
await runHook({
  settingsFile: process.argv[2] ?? '',
  input: process.stdin,
  write: (line) => void process.stdout.write(`${line}\n`),
});
process.exit(0);
