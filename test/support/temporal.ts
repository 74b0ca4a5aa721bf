// The one Temporal server of a test run and the bundle of the workflows, for every project that asks for them.
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { bundleWorkflows } from '../../src/adapters/temporal/bundle.ts';
import { startDevServer } from '../../src/adapters/temporal/server.ts';
import { findTool } from '../../src/adapters/tool/find-tool.ts';
import { temporalCli } from '../../src/adapters/tool/pins.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** host:port of a real Temporal server with time skipping; namespace `loam`. */
    temporalAddress: string;
    /** For `workflowBundle: { codePath }`. */
    workflowBundlePath: string;
    /** The Temporal CLI, for tests that start a server of their own. */
    temporalProgram: string;
  }
}

interface Shared {
  readonly address: string;
  readonly bundle: string;
  readonly program: string;
  readonly stop: () => Promise<void>;
}

const root = path.resolve(import.meta.dirname, '../..');
const shared = globalThis as { loamTestServer?: { users: number; readonly started: Promise<Shared> } };

/** Each project has its own copy of this module but all run in one process: the server is shared through the global object. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = (shared.loamTestServer ??= { users: 0, started: start() });
  server.users += 1;
  const { address, bundle, program, stop } = await server.started;
  project.provide('temporalAddress', address);
  project.provide('workflowBundlePath', bundle);
  project.provide('temporalProgram', program);
  return async () => {
    server.users -= 1;
    if (server.users === 0) await stop();
  };
}

async function start(): Promise<Shared> {
  const [{ path: program }, bundle] = await Promise.all([
    findTool(temporalCli, {
      given: process.env['LOAM_TEMPORAL_BIN'],
      searchPath: process.env['PATH'] ?? '',
      cacheDir: path.join(process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'), 'loam'),
      onProgress: (line) => process.stderr.write(`${line}\n`),
    }),
    buildBundle(),
  ]);
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-temporal-'));
  const server = await startDevServer({ program, folder, namespace: 'loam', port: 0, uiPort: 0, forTests: true });
  return {
    address: server.address,
    bundle,
    program,
    stop: async () => {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A bundle that cannot be built fails the suites that load it, not those that only want the server. */
async function buildBundle(): Promise<string> {
  try {
    const bundle = await bundleWorkflows({ root, cacheDir: path.join(root, '.cache') });
    return bundle.path;
  } catch (error) {
    process.stderr.write(`the workflow bundle cannot be built: ${String(error)}\n`);
    return '/the-workflow-bundle-could-not-be-built';
  }
}
