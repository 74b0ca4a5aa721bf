// usage: node test/replay/record.ts
//          plays every shape against the current code and keeps its history
//        node test/replay/record.ts --real
//          plays them on a whole Loam of its own, with real jobs, deploys, decisions and trusts
//        node test/replay/record.ts --address HOST:PORT [--namespace loam] --workflow-id run/thingy/1 --case demo
//          keeps the history of a workflow that ran for real
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { bundleWorkflows } from '../../src/adapters/temporal/bundle.ts';
import { startDevServer } from '../../src/adapters/temporal/server.ts';
import { findTool } from '../../src/adapters/tool/find-tool.ts';
import { temporalCli } from '../../src/adapters/tool/pins.ts';
import { createLoam } from '../support/loam.ts';
import { openBed } from '../support/run-bed.ts';
import type { Bed } from '../support/run-bed.ts';
import { saveHistory } from './histories.ts';
import { realRuns } from './real-runs.ts';
import { shapes } from './shapes.ts';

const root = path.resolve(import.meta.dirname, '../..');
const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8')) as { version: string };

const { values } = parseArgs({
  options: {
    address: { type: 'string' },
    namespace: { type: 'string', default: 'loam' },
    'workflow-id': { type: 'string' },
    case: { type: 'string' },
    real: { type: 'boolean', default: false },
  },
});

const { address, 'workflow-id': workflowId, case: name } = values;
if (values.real) await recordReal();
else if (address === undefined) await recordShapes();
else if (workflowId !== undefined && name !== undefined) await recordOne(address, workflowId, name);
else throw new Error('--address needs --workflow-id and --case');

async function recordOne(server: string, id: string, caseName: string): Promise<void> {
  const connection = await Connection.connect({ address: server });
  await keep(new Client({ connection, namespace: values.namespace }), id, caseName);
  await connection.close();
}

async function recordReal(): Promise<void> {
  const loam = await createLoam();
  try {
    await loam.start();
    const kept: Readonly<Record<string, string>>[] = [];
    for (const realRun of realRuns) kept.push(await realRun(loam));
    for (const [caseName, id] of kept.flatMap(Object.entries<string>)) {
      await recordOne(loam.endpoint().temporalAddress, id, caseName);
    }
  } finally {
    await loam.destroy();
  }
}

async function recordShapes(): Promise<void> {
  const cacheDir = path.join(process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'), 'loam');
  const given = process.env['LOAM_TEMPORAL_BIN'];
  const [{ path: program }, bundle, folder] = await Promise.all([
    findTool(temporalCli, { given, searchPath: process.env['PATH'] ?? '', cacheDir }),
    bundleWorkflows({ root, cacheDir: path.join(root, '.cache') }),
    mkdtemp(path.join(tmpdir(), 'loam-record-')),
  ]);
  const server = await startDevServer({ program, folder, namespace: 'loam', port: 0, uiPort: 0, forTests: true });
  try {
    const bed = await openBed({ address: server.address, bundlePath: bundle.path, maxCachedWorkflows: 300 });
    await play(bed).finally(() => bed.close());
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function play(bed: Bed): Promise<void> {
  for (const shape of shapes) {
    for (const [caseName, id] of Object.entries(await shape(bed))) await keep(bed.client, id, caseName);
  }
}

async function keep(client: Client, id: string, caseName: string): Promise<void> {
  const file = await saveHistory(client, id, version, caseName);
  process.stdout.write(`${path.relative(root, file)}\n`);
}
