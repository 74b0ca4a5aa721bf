import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ProcessIdentity, endProcess, identifyProcess, isRunning } from '../../adapters/host/process-identity.ts';
import { cleanText } from '../../cli/terminal.ts';
import { readConfig } from '../../config.ts';
import { ConfigurationError } from '../../configuration-error.ts';
import type { Config } from '../../config.ts';
import { findDevServer } from '../../adapters/temporal/server.ts';
import { findProcess, readRecord, safeJson } from '../processes.ts';
import { openTargets } from '../wiring.ts';
import { createApiCaller } from './api-caller.ts';
import { demoApplication, demoFolder, pushFirstCommit, registerDemo } from './demo.ts';
import type { DemoOptions } from './demo.ts';
import { approveAndVisit, newestRun } from './demo-run.ts';
import { createSupervisorLogger, readEndpoint, startSupervisor } from './supervisor.ts';
import type { Supervisor } from './supervisor.ts';

const root = path.resolve(import.meta.dirname, '../../..');

const help = `npm start                     brings Loam up and runs the demo application's first commit up to its gate
npm start -- --once           approves by itself, waits for production, visits it, stops all it started; exit code 0 when all went well
npm start -- --no-demo        for real work: add your application with "npx loam app add NAME"

  --help     this text

State lies in LOAM_DATA_DIR (default .loam). Ctrl-C ends worker, API and relay; Temporal, deployed applications and jobs live on, and the next start takes them over.
"npx loam down" ends Temporal too, "npx loam down --apps" also the applications. All settings: docs/configuration.md.
`;

interface UpOptions {
  readonly once: boolean;
  readonly demo: boolean;
}

function say(line: string): void {
  process.stdout.write(cleanText(`${line === '' ? '' : `loam: ${line}`}\n`, false));
}

/** `npm start`, `loam up`. Returns the exit code: 0 fine, 1 failed, 2 wrong usage. */
export async function runUp(args: readonly string[]): Promise<number> {
  const options = readArguments(args);
  if (typeof options === 'number') return options;
  let config: Config;
  try {
    config = readConfig();
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 2;
  }
  if (process.platform !== 'linux') {
    process.stderr.write(
      `loam: this is ${process.platform}; Loam runs on Linux (x86_64, arm64). On other systems use a Linux container or virtual machine.\n`,
    );
    return 1;
  }
  const release = await takeOver(config);
  if (release === undefined) return sayRunning(config, options);
  try {
    return await bringUp(config, options);
  } catch (error) {
    process.stderr.write(`loam: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await release();
  }
}

function readArguments(args: readonly string[]): UpOptions | number {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        once: { type: 'boolean', default: false },
        'no-demo': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (!values.help) return { once: values.once, demo: !values['no-demo'] };
    process.stdout.write(help);
    return 0;
  } catch (error) {
    process.stderr.write(`loam: ${error instanceof Error ? error.message : String(error)}\n\n${help}`);
    return 2;
  }
}

/** One supervisor per data folder. Returns how to give it back, or undefined when another one lives. */
async function takeOver(config: Config): Promise<(() => Promise<void>) | undefined> {
  const file = path.join(config.dataDir, 'processes/up.json');
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const own = JSON.stringify(identifyProcess(process.pid));
  for (;;) {
    try {
      await writeFile(file, own, { flag: 'wx' });
      return () => rm(file, { force: true });
    } catch {
      const text = await readFile(file, 'utf8').catch(() => '');
      const holder = ProcessIdentity.safeParse(safeJson(text)).data;
      if (holder !== undefined && isRunning(holder)) return undefined;
      await rm(file, { force: true }); // of a supervisor that was killed
    }
  }
}

async function sayRunning(config: Config, options: UpOptions): Promise<number> {
  const [record, endpoint] = await Promise.all([readRecord(config.dataDir, 'up'), readEndpoint(config.dataDir)]);
  say(`Loam runs already on ${config.dataDir} (process ${String(record?.pid)})`);
  if (endpoint !== undefined) say(`API ${endpoint.apiUrl}   Temporal UI ${endpoint.temporalUiUrl}`);
  say('"npx loam runs" lists its runs; "npx loam down" ends it');
  if (!options.once) return 0;
  process.stderr.write('loam: --once needs a data folder of its own: set LOAM_DATA_DIR, or end the other one\n');
  return 1;
}

async function bringUp(config: Config, options: UpOptions): Promise<number> {
  const asked = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(name, () => asked.abort(new Error(`ended by ${name}`)));
  const supervisor = await startSupervisor({ config, say, signal: asked.signal });
  const { apiUrl, relayUrl } = supervisor.endpoint;
  say(`Loam is up: API ${apiUrl}   relay ${relayUrl}   data ${config.dataDir}`);
  let code = 0;
  try {
    if (options.demo) code = await runDemo(config, supervisor, options, asked.signal);
    else say('add an application with "npx loam app add NAME"; "npx loam --help" tells the rest; Ctrl-C ends');
    if (!options.once) await untilAborted(asked.signal);
  } catch (error) {
    if (!asked.signal.aborted) throw error;
  } finally {
    say(
      options.once ? 'stopping all that was started' : 'stopping worker, API and relay; jobs in their sandboxes go on',
    );
    await supervisor.stop();
    if (options.once) await stopAll(config, supervisor);
    else
      say(
        'Temporal and deployed applications live on; "npm start" goes on where it stood, "npx loam down --apps" ends them too',
      );
  }
  return code;
}

async function stopAll(config: Config, { targets }: Supervisor): Promise<void> {
  await targets.down();
  await (await findDevServer(config.dataDir))?.stop();
}

async function runDemo(
  config: Config,
  supervisor: Supervisor,
  { once }: UpOptions,
  signal: AbortSignal,
): Promise<number> {
  const api = await createApiCaller(config.dataDir, supervisor.endpoint.apiUrl);
  const demo: DemoOptions = { api, dataFolder: config.dataDir, root, say, signal };
  const repositoryUrl = await registerDemo(demo);
  const pushed = await pushFirstCommit(demo, repositoryUrl);
  const run = await newestRun(api, demoApplication, signal);
  if (!pushed) say(`demo: run ${run.id} is ${run.status} ("npx loam show ${run.id}")`);
  if (once) return approveAndVisit({ ...demo, run });
  sayNextSteps(config, supervisor, run);
  return 0;
}

function sayNextSteps(
  config: Config,
  { endpoint }: Supervisor,
  run: { readonly id: string; readonly status: string },
): void {
  const workflow = `${endpoint.temporalUiUrl}/namespaces/${config.temporal.namespace}/workflows/${encodeURIComponent(`run/${run.id}`)}`;
  const copy = path.relative(process.cwd(), demoFolder(config.dataDir));
  const lines = [
    ...(run.status === 'paused' ? [`approve          npx loam approve ${run.id}`] : []),
    `look at it       npx loam show ${run.id}`,
    `in Temporal      ${endpoint.temporalUiUrl === '' ? `run/${run.id}` : workflow}`,
    `environments     npx loam env list ${demoApplication}`,
    `API              ${endpoint.apiUrl}`,
    `webhooks         ${config.relay.publicUrl ?? endpoint.relayUrl}/v1/triggers/... ("npx loam app add NAME --repository URL" tells the rest)`,
    `next commit      cd ${copy} && edit server.mjs && git commit -am "..." && git push`,
    'stop             Ctrl-C (Temporal and applications live on), then "npx loam down --apps" to end those too',
  ];
  process.stdout.write(`\n${lines.map((line) => `  ${line}`).join('\n')}\n\n`);
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** `loam down`: ends supervisor and Temporal server; with `apps` also front and deployed applications. Nothing to end is fine. */
export async function runDown(config: Config, { apps }: { readonly apps: boolean }): Promise<number> {
  if (!existsSync(config.dataDir)) {
    say(`nothing to end: there is no ${config.dataDir}`);
    return 0;
  }
  const supervisor = await findProcess(config.dataDir, 'up');
  if (supervisor !== undefined) say(`ending Loam on ${config.dataDir} (process ${String(supervisor.pid)})`);
  else say(`Loam does not run on ${config.dataDir}`);
  await endProcess(supervisor, 60_000);
  for (const name of ['worker', 'api', 'relay']) await endProcess(await readRecord(config.dataDir, name), 15_000);
  const server = await findDevServer(config.dataDir);
  if (server !== undefined) say('ending its Temporal server; open runs go on at the next start');
  await server?.stop();
  if (!apps) return 0;
  say('ending the deployed applications');
  await (await openTargets(config, undefined, createSupervisorLogger(config))).down();
  return 0;
}
