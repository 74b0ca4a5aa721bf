// The program `loam`. What only some commands need is loaded when they run: most of them are one call of the API.
import path from 'node:path';
import { readFileSync } from 'node:fs';
import { runCli } from '../cli/cli.ts';
import type { CliContext, LocalCommand } from '../cli/context.ts';
import { readConfig } from '../config.ts';
import { ConfigurationError } from '../configuration-error.ts';
import type { Config } from '../config.ts';

const root = path.resolve(import.meta.dirname, '../..');

process.exitCode = await main();

async function main(): Promise<number> {
  const interrupted = new AbortController();
  endQuietlyWhenNobodyReads();
  let config: Config;
  try {
    config = readConfig();
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 2;
  }
  // `up` listens to Ctrl-C itself, since it has more to do then.
  const isFirstWord = (word: string): boolean => process.argv[2] === word;
  if (!isFirstWord('up')) process.once('SIGINT', () => interrupted.abort());
  return runCli(makeContext(config, interrupted.signal));
}

function makeContext(config: Config, signal: AbortSignal): CliContext {
  return {
    args: process.argv.slice(2),
    folder: process.cwd(),
    write: (text) => void process.stdout.write(text),
    writeError: (text) => void process.stderr.write(text),
    input: process.stdin,
    isInputTerminal: process.stdin.isTTY,
    // Node looks at NO_COLOR and TERM for this.
    hasColors: process.stdout.isTTY && process.stdout.hasColors(),
    version: readVersion(),
    apiUrl: config.client.url,
    readToken: config.client.readToken,
    dataFolder: config.dataDir,
    checkPlan: async (text) => (await import('../core/plan/check-plan.ts')).checkPlan(text),
    local: localCommands(config),
    signal,
  };
}

function localCommands(config: Config): readonly LocalCommand[] {
  return [
    {
      name: 'up',
      summary: 'bring Loam up on this machine, as "npm start" does',
      options: [
        { flags: '--once', description: 'run the demo to production, then stop all' },
        { flags: '--no-demo', description: 'for real work: without the demo application' },
      ],
      examples: ['loam up', 'loam up --no-demo'],
      run: async ({ once, demo }) => {
        const { runUp } = await import('./supervisor/up-command.ts');
        return runUp([...(once === true ? ['--once'] : []), ...(demo === false ? ['--no-demo'] : [])]);
      },
    },
    {
      name: 'down',
      summary: 'end Loam on this machine; open runs go on at the next start',
      options: [{ flags: '--apps', description: 'also end the deployed applications' }],
      examples: ['loam down', 'loam down --apps'],
      run: async ({ apps }) => {
        const { runDown } = await import('./supervisor/up-command.ts');
        return runDown(config, { apps: apps === true });
      },
    },
    {
      name: 'doctor',
      summary: 'tell what was found on this machine, what is missing, and what to do',
      options: [{ flags: '--json', description: 'print JSON' }],
      examples: ['loam doctor'],
      run: async ({ json }) => {
        const { runDoctor } = await import('./doctor.ts');
        return runDoctor(config, { json: json === true });
      },
    },
    ...relayCommands(config),
  ];
}

function relayCommands(config: Config): readonly LocalCommand[] {
  const group = { name: 'relay', summary: 'deliveries that the relay of this machine keeps (LOAM_DATA_DIR)' };
  const options = [{ flags: '--json', description: 'print JSON' }];
  const kinds = [
    ['list', 'list', 'list what waits to be forwarded, and what was refused, with the reason', 'loam relay list'],
    ['replay', 'replay <delivery...>', 'forward refused deliveries again', 'loam relay replay 0b5e3f0c'],
    ['drop', 'drop <delivery...>', 'delete deliveries, waiting or refused', 'loam relay drop 0b5e3f0c'],
  ] as const;
  return kinds.map(([action, name, summary, example]) => ({
    group,
    name,
    summary,
    options,
    examples: [example],
    run: async ({ json }, args) => {
      const { runRelayCommand } = await import('./relay-command.ts');
      return runRelayCommand(config, action, args, json === true);
    },
  }));
}

function readVersion(): string {
  const text = readFileSync(path.join(root, 'package.json'), 'utf8');
  const { version } = JSON.parse(text) as { readonly version: string };
  return version;
}

/** `loam logs ... | head`: the reader has what it wanted. */
function endQuietlyWhenNobodyReads(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
