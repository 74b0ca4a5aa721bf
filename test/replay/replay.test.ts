// I9: what runs in the field was begun by an earlier version of this code, and goes on with this one.
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { bundleWorkflows } from '../../src/adapters/temporal/bundle.ts';
import { installRuntime } from '../support/run-bed.ts';
import { readHistories } from './histories.ts';
import type { RecordedHistory } from './histories.ts';

const root = path.resolve(import.meta.dirname, '../..');
const histories = await readHistories();

async function replay({ history, workflowId }: RecordedHistory, codePath: string): Promise<void> {
  await Worker.runReplayHistory({ workflowBundle: { codePath } }, history, workflowId);
}

beforeAll(() => {
  installRuntime();
});

describe('recorded histories', () => {
  it('cover both workflows', () => {
    const types = new Set(histories.map(({ name }) => path.dirname(name)));

    expect(types).toEqual(new Set(['run', 'environment']));
  });

  it.each(histories)('replay on the code of today: $name', async (recorded) => {
    await expect(replay(recorded, inject('workflowBundlePath'))).resolves.toBeUndefined();
  });
});

describe('a scheduler that starts tasks in another order', () => {
  let folder: string;
  let codePath: string;

  /** The sources with one line changed, bundled as they are. */
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'loam-twin-'));
    for (const part of ['workflows', 'src/core', 'activities/types.ts', 'package-lock.json', 'package.json']) {
      await cp(path.join(root, part), path.join(folder, part), { recursive: true });
    }
    await symlink(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
    const file = path.join(folder, 'src/core/scheduler/transition.ts');
    const source = await readFile(file, 'utf8');
    const changed = source.replace('draft.ready.splice(0, Math.max(free, 0))', '$&.reverse()');
    expect(changed).not.toBe(source);
    await writeFile(file, changed);
    codePath = (await bundleWorkflows({ root: folder, cacheDir: path.join(folder, '.cache') })).path;
  });

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('is found out', async () => {
    const fanOut = histories.filter(({ name }) => name.endsWith('-fan-out'));

    expect(fanOut.length).toBeGreaterThan(0);
    for (const recorded of fanOut) {
      await expect(replay(recorded, codePath)).rejects.toThrow(DeterminismViolationError);
    }
  });
});
