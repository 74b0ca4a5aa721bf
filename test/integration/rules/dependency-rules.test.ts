// A rule over an empty folder passes: so a small tree is made in which each file breaks exactly one rule, or none.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '../../..');
let folder: string;
let found: Map<string, Set<string>>;

const value = (target: string): string => `import { x } from '${target}';\nexport const y = x;\n`;
const type = (target: string): string => `import type { x } from '${target}';\nexport type Y = typeof x;\n`;
const dynamic = (target: string): string => `export const y = await import('${target}');\n`;

/** file, content, the rules it breaks */
type Case = readonly [file: string, content: string, broken: readonly string[]];

const violating: readonly Case[] = [
  ['src/core/model/to-port.ts', value('../../ports/b.ts'), ['core']],
  ['src/core/model/to-port-type.ts', type('../../ports/b.ts'), ['core']],
  ['src/core/model/to-node.ts', value('node:fs'), ['core']],
  ['src/core/model/to-node-bare.ts', value('fs'), ['core']],
  ['src/core/model/to-node-dynamic.ts', dynamic('node:fs'), ['core']],
  ['src/core/graph/to-yaml.ts', value('js-yaml'), ['core']],
  ['src/core/scheduler/to-zod.ts', value('zod'), ['core']],
  ['src/core/lock/to-workflow.ts', value('../../../workflows/messages.ts'), ['core']],
  ['src/core/gate/to-adapter.ts', value('../../adapters/git/b.ts'), ['core']],
  ['src/core/template/to-node.ts', value('node:crypto'), ['core']],
  ['src/core/plan/to-node.ts', value('node:path'), ['core-plan']],
  ['src/core/plan/to-kysely.ts', value('kysely'), ['core-plan']],
  ['src/ports/to-node.ts', type('node:stream'), ['ports']],
  ['src/ports/to-adapter.ts', type('../adapters/store/b.ts'), ['ports']],
  ['src/ports/to-temporal.ts', value('@temporalio/client'), ['ports']],
  ['src/adapters/executor/process/to-other.ts', value('../../git/b.ts'), ['adapter-executor-process']],
  ['src/adapters/engine/to-image.ts', value('../image/docker/b.ts'), ['adapter-engine']],
  ['src/adapters/image/docker/to-other.ts', value('../../git/b.ts'), ['adapter-image-docker']],
  ['src/adapters/executor/process/to-engine.ts', value('../../engine/b.ts'), ['adapter-executor-process']],
  ['src/adapters/target/docker/to-other.ts', value('../process/b.ts'), ['adapter-target-docker']],
  ['src/adapters/host/to-other.ts', value('../git/b.ts'), ['adapter-host']],
  ['src/adapters/front/to-target.ts', value('../target/process/b.ts'), ['adapter-front']],
  ['src/adapters/executor/docker/to-other.ts', value('../process/b.ts'), ['adapter-executor-docker']],
  ['src/adapters/executor/job/to-other.ts', value('../process/b.ts'), ['adapter-executor-job']],
  ['src/adapters/target/process/to-other.ts', value('../../executor/process/b.ts'), ['adapter-target-process']],
  ['src/adapters/trust/exec/to-package.ts', value('kysely'), ['adapter-trust-exec']],
  ['src/adapters/trust/settings/to-other.ts', value('../exec/b.ts'), ['adapter-trust-settings']],
  ['src/adapters/trust/static/to-other.ts', value('../exec/b.ts'), ['adapter-trust-static']],
  ['src/adapters/trust/static/to-package.ts', value('kysely'), ['adapter-trust-static']],
  ['src/adapters/git/to-api.ts', type('../../api/b.ts'), ['adapter-git']],
  ['src/adapters/store/to-package.ts', value('express'), ['adapter-store']],
  ['src/adapters/blob/folder/to-log.ts', value('../../log/b.ts'), ['adapter-blob-folder']],
  ['src/adapters/log/folder/to-blob.ts', value('../../blob/folder/b.ts'), ['adapter-log']],
  ['src/adapters/tool/to-temporal.ts', value('../temporal/b.ts'), ['adapter-tool']],
  ['src/adapters/temporal/to-activity.ts', value('@temporalio/activity'), ['adapter-temporal']],
  ['src/adapters/secret/to-store.ts', value('../store/b.ts'), ['adapter-secret']],
  ['src/adapters/status/to-store.ts', value('../store/b.ts'), ['adapter-status']],
  ['src/adapters/store/to-config.ts', value('../../config.ts'), ['adapter-store', 'config-in-main']],
  ['src/main/to-unlisted.ts', value('../adapters/carrier-pigeon/b.ts'), ['adapter-unlisted']],
  ['activities/to-adapter.ts', value('../src/adapters/store/b.ts'), ['activities']],
  ['activities/to-node.ts', value('node:fs/promises'), ['activities']],
  ['activities/to-workflow.ts', value('../workflows/messages.ts'), ['activities']],
  ['activities/types.ts', `${type('../src/ports/b.ts')}export const x = 1;\n`, ['activity-types']],
  ['activities/to-config.ts', type('../src/config.ts'), ['activities']],
  ['workflows/to-activity-types.ts', value('../activities/types.ts'), ['workflows-activities']],
  ['workflows/to-activity.ts', type('../activities/b.ts'), ['workflows']],
  ['workflows/to-activity-dynamic.ts', dynamic('../activities/b.ts'), ['workflows', 'workflows-activities']],
  ['workflows/to-plan.ts', value('../src/core/plan/b.ts'), ['workflows']],
  ['workflows/to-port.ts', type('../src/ports/b.ts'), ['workflows']],
  ['workflows/to-node.ts', value('node:timers'), ['workflows']],
  ['workflows/to-client.ts', value('@temporalio/client'), ['workflows']],
  ['src/api/to-workflow.ts', value('../../workflows/run.ts'), ['api-workflows']],
  ['src/api/to-adapter.ts', type('../adapters/store/b.ts'), ['api']],
  ['src/api/to-package.ts', value('kysely'), ['api']],
  ['src/dispatch/to-workflow.ts', value('../../workflows/run.ts'), ['dispatch-workflows']],
  ['src/dispatch/to-node.ts', value('node:fs'), ['dispatch']],
  ['src/dispatch/to-adapter.ts', value('../adapters/temporal/b.ts'), ['dispatch']],
  ['src/relay/to-temporal.ts', value('@temporalio/client'), ['relay']],
  ['src/relay/to-store.ts', type('../adapters/store/b.ts'), ['relay']],
  ['src/cli/to-api.ts', value('../api/b.ts'), ['clients-api']],
  ['src/cli/to-scheduler.ts', value('../core/scheduler/b.ts'), ['cli']],
  ['src/cli/to-port.ts', type('../ports/b.ts'), ['cli']],
  ['src/web/to-api.ts', value('../api/b.ts'), ['clients-api']],
  ['src/web/to-core.ts', type('../core/model/b.ts'), ['web']],
  ['src/relay/to-main.ts', value('../main/b.ts'), ['relay', 'main-is-a-root']],
  ['scripts/to-test.ts', value('../test/support/b.ts'), ['test-is-a-root']],
  ['src/config.ts', value('./ports/b.ts'), ['config']],
  ['src/main/to-dev-package.ts', value('fast-check'), ['no-dev']],
  ['src/main/to-nowhere.ts', value('./nowhere.ts'), ['no-unresolvable']],
  ['src/main/circle-a.ts', value('./circle-b.ts'), ['no-circular']],
];

const lawful: readonly Case[] = [
  ['src/core/plan/ok.ts', `${value('js-yaml')}export { x } from 'zod';\n`, []],
  ['src/adapters/temporal/ok.ts', `${value('@temporalio/client')}export { x } from 'node:fs';\n`, []],
  ['src/adapters/image/docker/ok.ts', `${value('../../engine/b.ts')}export { x } from 'dockerode';\n`, []],
  ['src/adapters/target/process/ok.ts', `${value('../../front/b.ts')}export { x } from 'node:fs';\n`, []],
  ['src/adapters/trust/static/ok.ts', value('../settings/b.ts'), []],
  ['src/adapters/log/folder/ok.ts', value('../../host/b.ts'), []],
  ['src/adapters/store/ok.ts', `${value('kysely')}export type { x } from '../../ports/b.ts';\n`, []],
  ['workflows/ok.ts', `${type('../activities/types.ts')}export { x } from '../src/core/scheduler/b.ts';\n`, []],
  ['workflows/ok-temporal.ts', `${value('@temporalio/workflow')}export { x } from '../src/core/errors.ts';\n`, []],
  ['activities/ok.ts', `${value('../src/ports/b.ts')}export { x } from '@temporalio/activity';\n`, []],
  ['src/api/ok.ts', `${value('../../workflows/messages.ts')}export type { x } from '../../workflows/run.ts';\n`, []],
  ['src/dispatch/ok.ts', `${value('../../workflows/messages.ts')}export { x } from '@temporalio/client';\n`, []],
  ['src/cli/ok.ts', `${type('../api/b.ts')}export { x } from 'commander';\n`, []],
  ['src/main/ok.ts', `${value('../adapters/git/b.ts')}export { x } from '../api/b.ts';\n`, []],
  ['test/support/ok.ts', `${value('../../src/main/b.ts')}export { x } from 'fast-check';\n`, []],
];

const leaf = 'export const x = 1;\n';
const packages = [
  '@temporalio/client',
  '@temporalio/workflow',
  '@temporalio/activity',
  'commander',
  'dockerode',
  'express',
  'js-yaml',
  'kysely',
  'zod',
];
const leaves = [
  ...['core/model', 'core/plan', 'core/scheduler', 'ports', 'api', 'main'].map((room) => `src/${room}/b.ts`),
  ...['blob/folder', 'carrier-pigeon', 'engine', 'executor/process', 'git', 'host', 'image/docker'].map(
    (room) => `src/adapters/${room}/b.ts`,
  ),
  ...['front', 'log', 'store', 'target/process', 'temporal', 'trust/exec', 'trust/settings'].map(
    (room) => `src/adapters/${room}/b.ts`,
  ),
  ...['src/core/errors.ts', 'activities/b.ts', 'workflows/messages.ts', 'workflows/run.ts'],
  'test/support/b.ts',
];

function write(file: string, content: string): void {
  const full = path.join(folder, file);
  mkdirSync(path.dirname(full), { recursive: true });
  writeFileSync(full, content);
}

function writePackage(name: string): void {
  write(`node_modules/${name}/package.json`, JSON.stringify({ name, version: '1.0.0', exports: './index.js' }));
  write(`node_modules/${name}/index.js`, leaf);
}

interface CruiseResult {
  readonly summary: {
    readonly violations: readonly { readonly from: string; readonly rule: { readonly name: string } }[];
  };
}

function cruise(): Map<string, Set<string>> {
  const program = path.join(root, 'node_modules/.bin/depcruise');
  const config = path.join(root, '.dependency-cruiser.mjs');
  const rooms = ['src', 'activities', 'workflows', 'test', 'scripts'];
  const end = spawnSync(program, ['--config', config, '--output-type', 'json', ...rooms], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 60_000,
    maxBuffer: 64 * 1024 * 1024,
  });
  const result = JSON.parse(end.stdout) as CruiseResult;
  const rules = new Map<string, Set<string>>();
  for (const { from, rule } of result.summary.violations) {
    rules.set(from, (rules.get(from) ?? new Set<string>()).add(rule.name));
  }
  return rules;
}

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'loam-rules-'));
  const dependencies = Object.fromEntries(packages.map((name) => [name, '1.0.0']));
  write('package.json', JSON.stringify({ type: 'module', dependencies, devDependencies: { 'fast-check': '1.0.0' } }));
  write('tsconfig.json', JSON.stringify({ compilerOptions: { module: 'NodeNext', allowImportingTsExtensions: true } }));
  [...packages, 'fast-check'].forEach(writePackage);
  leaves.forEach((file) => {
    write(file, leaf);
  });
  write('src/main/circle-b.ts', `${value('./circle-a.ts')}export const x = 1;\n`);
  [...violating, ...lawful].forEach(([file, content]) => {
    write(file, content);
  });
  found = cruise();
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the dependency rules', () => {
  it.each(violating)('refuse %s', (file, _content, broken) => {
    const rules = found.get(file) ?? new Set();

    expect(rules).toEqual(new Set(broken));
  });

  it.each(lawful)('allow %s', (file) => {
    const rules = found.get(file) ?? new Set();

    expect(rules).toEqual(new Set());
  });

  it('have a violating file each', async () => {
    const { default: config } = (await import(path.join(root, '.dependency-cruiser.mjs'))) as {
      default: { forbidden: readonly { name: string }[] };
    };

    const held = new Set(violating.flatMap(([, , broken]) => broken));

    expect(held).toEqual(new Set(config.forbidden.map(({ name }) => name)));
  });
});
