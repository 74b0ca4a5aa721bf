import { createHash, randomUUID } from 'node:crypto';
import { glob, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DefaultLogger, bundleWorkflowCode } from '@temporalio/worker';

export interface BundleOptions {
  /** Root of the sources: holds package-lock.json, workflows and src/core. */
  readonly root: string;
  readonly cacheDir: string;
}

export interface WorkflowBundle {
  readonly path: string;
  readonly sizeBytes: number;
  /** True when the sources have not changed since it was built. */
  readonly cached: boolean;
}

const keepOthersMs = 24 * 3_600_000;

/** The code of the workflows as one file for `workflowBundle: { codePath }`; built once per content of the sources. Several processes may call it at once. */
export async function bundleWorkflows(options: BundleOptions): Promise<WorkflowBundle> {
  const name = `workflows-${await digestSources(options.root)}.js`;
  const file = path.join(options.cacheDir, name);
  const found = await sizeOf(file);
  if (found !== undefined) return { path: file, sizeBytes: found, cached: true };

  const { code } = await bundleWorkflowCode({
    workflowsPath: path.join(options.root, 'workflows/index.ts'),
    logger: new DefaultLogger('WARN'),
  });
  await mkdir(options.cacheDir, { recursive: true });
  const fresh = path.join(options.cacheDir, `.${randomUUID()}`);
  await writeFile(fresh, code);
  await rename(fresh, file);
  await removeOld(options.cacheDir, name);
  return { path: file, sizeBytes: Buffer.byteLength(code), cached: false };
}

/** All that can end up in the bundle. */
async function digestSources(root: string): Promise<string> {
  const files = ['package-lock.json'];
  for await (const file of glob(['workflows/**/*.ts', 'src/core/**/*.ts'], { cwd: root })) files.push(file);
  const hash = createHash('sha256');
  for (const file of files.sort()) {
    const content = await readFile(path.join(root, file));
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex').slice(0, 32);
}

async function removeOld(folder: string, name: string): Promise<void> {
  for await (const file of glob('workflows-*.js', { cwd: folder })) {
    if (file === name) continue;
    const full = path.join(folder, file);
    const { mtimeMs } = await stat(full).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > keepOthersMs) await rm(full, { force: true });
  }
}

async function sizeOf(file: string): Promise<number | undefined> {
  return stat(file).then(
    ({ size }) => size,
    () => undefined,
  );
}
