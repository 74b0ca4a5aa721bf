// Builds the bundle of the workflows and keeps its size within the budget: each cached workflow worker pays for it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bundleWorkflows } from '../src/adapters/temporal/bundle.ts';

const budgetBytes = 2_500_000;

const cacheDir = await mkdtemp(path.join(tmpdir(), 'loam-bundle-')); // always a fresh build
try {
  const { sizeBytes } = await bundleWorkflows({ root: path.resolve(import.meta.dirname, '..'), cacheDir });
  const figures = `${(sizeBytes / 1e6).toFixed(2)} MB of ${(budgetBytes / 1e6).toFixed(2)} MB`;
  console.log(`workflow bundle: ${figures}`);
  if (sizeBytes > budgetBytes) {
    console.error(`the workflow bundle is over its budget (${figures}): which import brought so much into workflows/?`);
    process.exitCode = 1;
  }
} finally {
  await rm(cacheDir, { recursive: true, force: true });
}
