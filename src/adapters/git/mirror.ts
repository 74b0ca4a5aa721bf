import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Sha } from '../../core/model/ids.ts';
import type { GitProgram } from './git-program.ts';

// A commit is in the mirror when it has a ref of its own there: git writes that last, when all objects are there. Objects alone prove nothing: a git that
// was killed leaves the commit without its tree.

const commitRefs = 'refs/loam/commits';
const maxCommitRefs = 200;
const keptCommitRefs = 100;
const leftoverLifeMs = 60 * 60_000;

/** Mirrors that this process has cleaned: to look into every folder of one takes longer than to fetch. */
const cleaned = new Set<string>();

/** Files of a commit must not be left out of its snapshot or changed in it because of what the commit says about them. */
const attributes = '* -export-ignore -export-subst\n';

export function commitRef(sha: Sha): string {
  return `${commitRefs}/${sha}`;
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

async function list(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return [];
    throw error;
  }
}

/** Without starting git: this is on the way of every run. */
export async function hasCommit(mirror: string, sha: Sha): Promise<boolean> {
  try {
    // A power cut can leave an empty file.
    return (await readFile(path.join(mirror, commitRef(sha)), 'utf8')).trim() === sha;
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return false;
    throw error;
  }
}

/** Makes the mirror complete or not at all, and removes what a killed git left. Only under the mirror's lock. */
export async function prepareMirror(git: GitProgram, mirror: string, signal: AbortSignal): Promise<void> {
  if ((await list(mirror)).includes('HEAD')) {
    await removeLeftovers(mirror);
    await forgetOldCommits(mirror);
    return;
  }
  const draft = `${mirror}.${randomUUID()}`;
  try {
    await git.run({ args: ['init', '--quiet', '--bare', '--template=', '--', draft], signal });
    await mkdir(path.join(draft, 'info'), { recursive: true });
    await writeFile(path.join(draft, 'info', 'attributes'), attributes);
    await rm(mirror, { recursive: true, force: true });
    await rename(draft, mirror);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

export async function removeMirror(mirror: string): Promise<void> {
  const away = `${mirror}.${randomUUID()}`;
  await rename(mirror, away);
  await rm(away, { recursive: true, force: true });
}

async function removeLeftovers(mirror: string): Promise<void> {
  const refs = path.join(mirror, commitRefs);
  const locks = (await list(refs)).filter((name) => name.endsWith('.lock')).map((name) => path.join(refs, name));
  for (const lock of [...locks, path.join(mirror, 'packed-refs.lock')]) await rm(lock, { force: true });
  if (cleaned.has(mirror)) return;
  cleaned.add(mirror);
  for (const { file, modifiedAtMs } of await findDrafts(mirror)) {
    // A younger one may belong to a git that outlived its worker.
    if (Date.now() - modifiedAtMs > leftoverLifeMs) await rm(file, { force: true });
  }
}

/** git reads every ref at each fetch; the objects stay, nothing here is ever collected. */
async function forgetOldCommits(mirror: string): Promise<void> {
  const refs = path.join(mirror, commitRefs);
  const names = await list(refs);
  if (names.length <= maxCommitRefs) return;
  const aged = await Promise.all(
    names.map(async (name) => ({ name, modifiedAtMs: (await stat(path.join(refs, name))).mtimeMs })),
  );
  aged.sort((a, b) => b.modifiedAtMs - a.modifiedAtMs);
  for (const { name } of aged.slice(keptCommitRefs)) await rm(path.join(refs, name), { force: true });
}

interface Draft {
  readonly file: string;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
}

/** What git is writing at the moment, or was when it died. */
async function findDrafts(mirror: string): Promise<readonly Draft[]> {
  const objects = path.join(mirror, 'objects');
  const drafts: Draft[] = [];
  for (const folder of await list(objects)) {
    for (const name of await list(path.join(objects, folder))) {
      if (!name.startsWith('tmp_')) continue;
      const file = path.join(objects, folder, name);
      try {
        const { size, mtimeMs } = await stat(file);
        drafts.push({ file, sizeBytes: size, modifiedAtMs: mtimeMs });
      } catch (error) {
        if (!hasCode(error, 'ENOENT')) throw error;
      }
    }
  }
  return drafts;
}

/** Bytes that git has received since then and not yet put in place. What a killed one has left is older. */
export async function measureDrafts(mirror: string, sinceMs: number): Promise<number> {
  const drafts = (await findDrafts(mirror)).filter((draft) => draft.modifiedAtMs >= sinceMs);
  return drafts.reduce((sum, draft) => sum + draft.sizeBytes, 0);
}
