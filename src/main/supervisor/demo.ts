import { cp, mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { runProgram } from './program.ts';

export interface DemoApi {
  /** A call of Loam's API; throws with the API's own words when it is refused. */
  call(method: string, route: string, body?: unknown): Promise<unknown>;
}

export interface DemoOptions {
  readonly api: DemoApi;
  readonly dataFolder: string;
  /** The checkout that holds `examples/`. */
  readonly root: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

const Application = z.object({ name: z.string(), repositoryUrl: z.string() });
const Applications = z.object({ applications: z.array(Application) });

export const demoApplication = 'thingy';
const gitTimeoutMs = 600_000;

/** Where the newcomer's working copy of the demo application lies. */
export function demoFolder(dataFolder: string): string {
  return path.join(dataFolder, 'demo', demoApplication);
}

/** Registers the demo application, its two environments and its trust. Twice is fine. */
export async function registerDemo({ api, root, say }: DemoOptions): Promise<string> {
  const repositoryUrl = await addApplication(api, say);
  await api.call('PUT', '/v1/trusts/demo', {
    provider: 'exec',
    settings: { command: [process.execPath, path.join(root, 'examples/trust-demo/print-token.mjs')] },
  });
  const environments = `/v1/applications/${demoApplication}/environments`;
  await api.call('PUT', `${environments}/staging`, { target: 'process', trust: 'demo' });
  await api.call('PUT', `${environments}/production`, { target: 'process', trust: 'demo', protected: true });
  return repositoryUrl;
}

async function addApplication(api: DemoApi, say: (line: string) => void): Promise<string> {
  const { applications } = Applications.parse(await api.call('GET', '/v1/applications'));
  const existing = applications.find(({ name }) => name === demoApplication);
  if (existing !== undefined) return existing.repositoryUrl;
  say(`demo: adding the application "${demoApplication}" with a repository of its own`);
  return Application.parse(await api.call('POST', '/v1/applications', { name: demoApplication })).repositoryUrl;
}

/** True when this call pushed the first commit; false when an earlier one did. The push itself prints the run's progress, since the hook follows the run. */
export async function pushFirstCommit(options: DemoOptions, repositoryUrl: string): Promise<boolean> {
  const folder = demoFolder(options.dataFolder);
  const git = (args: readonly string[], show = false): Promise<string> =>
    runProgram('git', args, { cwd: folder, timeoutMs: gitTimeoutMs, signal: options.signal, show });
  await mkdir(folder, { recursive: true });
  if ((await git(['ls-remote', '--', repositoryUrl, 'refs/heads/main'])) !== '') return false;
  await rm(folder, { recursive: true, force: true }); // half made by a start that was cut off
  await cp(path.join(options.root, 'examples', demoApplication), folder, { recursive: true });
  await git(['init', '--quiet', '--initial-branch=main']);
  await git(['config', 'user.name', 'Loam demo']);
  await git(['config', 'user.email', 'demo@loam.invalid']);
  await git(['add', '--all']);
  await git(['commit', '--quiet', '--message', 'Say hello']);
  await git(['remote', 'add', 'origin', repositoryUrl]);
  options.say(`demo: git push origin main   (in ${folder})`);
  await git(['push', '--quiet', '--set-upstream', 'origin', 'main'], true);
  return true;
}
