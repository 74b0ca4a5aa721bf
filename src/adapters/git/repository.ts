import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DomainError } from '../../core/errors.ts';
import { explain, type GitProgram } from './git-program.ts';

const marker = '# loam:post-receive - written by "loam app add", which replaces it';
const markerStart = '# loam:post-receive';
const timeoutMs = 30_000;

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function absolute(folder: string): string {
  if (path.isAbsolute(folder)) return path.normalize(folder);
  throw new DomainError('input-invalid', `"${folder.slice(0, 80)}" is not an absolute path`);
}

async function isEmpty(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return true;
    throw new DomainError('input-invalid', `${folder} cannot be used as a repository`, { cause: error });
  }
}

/** The folder with git's own files; undefined when there is no repository right here. */
async function findGitDir(git: GitProgram, folder: string): Promise<string | undefined> {
  for (const gitDir of [folder, path.join(folder, '.git')]) {
    const signal = AbortSignal.timeout(timeoutMs);
    const args = ['-c', 'safe.directory=*', 'rev-parse', '--absolute-git-dir'];
    const { exitCode, stdout } = await git.run({ args, gitDir, signal });
    if (exitCode === 0) return stdout.toString('utf8').replace(/\n$/, '');
  }
  return undefined;
}

/** Makes a bare repository in `folder` if there is none. Throws `input-invalid` for a folder that holds something else. */
export async function createBareRepository(git: GitProgram, folder: string): Promise<boolean> {
  const place = absolute(folder);
  if (!(await isEmpty(place))) {
    if ((await findGitDir(git, place)) !== undefined) return false;
    throw new DomainError('input-invalid', `${place} is neither empty nor a git repository`);
  }
  const args = ['init', '--quiet', '--bare', '--template=', '--initial-branch=main', '--', place];
  const result = await git.run({ args, signal: AbortSignal.timeout(timeoutMs) });
  if (result.exitCode === 0) return true;
  throw new DomainError('input-invalid', `a repository cannot be made in ${place}: ${explain(result)}`);
}

/** Installs the hook where this repository looks for it. Throws `input-invalid` when another hook is there. */
export async function installPostReceive(git: GitProgram, folder: string, script: string): Promise<void> {
  const place = absolute(folder);
  const gitDir = await findGitDir(git, place);
  if (gitDir === undefined) throw new DomainError('input-invalid', `${place} is not a git repository`);
  const hook = path.join(await findHooks(git, gitDir), 'post-receive');
  const known = await readHook(hook);
  if (known !== undefined && !known.includes(markerStart)) {
    const message = `${hook} is a hook of somebody else; call Loam's from it, or move it away`;
    throw new DomainError('input-invalid', message);
  }
  const text = mark(script);
  if (known === text) return chmod(hook, 0o755);
  await mkdir(path.dirname(hook), { recursive: true });
  const draft = `${hook}.${randomUUID()}`;
  try {
    await writeFile(draft, text, { mode: 0o755 });
    await chmod(draft, 0o755);
    await rename(draft, hook);
  } finally {
    await rm(draft, { force: true });
  }
}

/** The repository's own settings may name another folder for hooks. */
async function findHooks(git: GitProgram, gitDir: string): Promise<string> {
  const args = ['-c', 'safe.directory=*', 'config', '--local', '--type=path', '--get', 'core.hooksPath'];
  const { stdout } = await git.run({ args, gitDir, signal: AbortSignal.timeout(timeoutMs) });
  const named = stdout.toString('utf8').replace(/\n$/, '');
  return path.resolve(gitDir, named === '' ? 'hooks' : named);
}

async function readHook(hook: string): Promise<string | undefined> {
  try {
    return await readFile(hook, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw new DomainError('input-invalid', `${hook} cannot be read`, { cause: error });
  }
}

function mark(script: string): string {
  const [first = '', ...rest] = script.split('\n');
  return first.startsWith('#!') ? [first, marker, ...rest].join('\n') : ['#!/bin/sh', marker, script].join('\n');
}
