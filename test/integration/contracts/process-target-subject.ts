import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { expect } from 'vitest';
import { createSecretBox } from '../../../src/adapters/secret/secret-box.ts';
import { createProcessTarget } from '../../../src/adapters/target/process/process-target.ts';
import type { ProcessTarget } from '../../../src/adapters/target/process/process-target.ts';
import { findTool } from '../../../src/adapters/tool/find-tool.ts';
import { bubblewrap } from '../../../src/adapters/tool/pins.ts';
import type { Workshop } from './target-builders.ts';

export interface ProcessTargetSubject {
  readonly target: ProcessTarget;
  readonly data: string;
  readonly artifact: string;
  readonly sickMs: number;
  reopen(): ProcessTarget;
  close(): Promise<void>;
}

export async function findBubblewrap(): Promise<string> {
  const cacheHome = process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache');
  const found = await findTool(bubblewrap, {
    given: process.env['LOAM_BWRAP_BIN'],
    searchPath: process.env['PATH'] ?? '',
    cacheDir: path.join(cacheHome, 'loam'),
  });
  return found.path;
}

const silent = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {
  // Tests look at the world, not at the log.
}

/** A target with a data folder of its own. `depth` makes its path longer than a unix socket's may be. */
export function openProcessTarget(workshop: Workshop, bwrapPath: string | undefined, depth = ''): ProcessTargetSubject {
  const data = path.join(mkdtempSync(path.join(workshop.folder, 'data-')), depth);
  const secretBox = createSecretBox({ key: Buffer.alloc(32, 7) });
  const mainFolder = path.resolve(import.meta.dirname, '../../../src/main');
  function reopen(): ProcessTarget {
    return createProcessTarget({
      dataFolder: data,
      bwrapPath,
      secretBox,
      nodePath: process.execPath,
      mainFolder,
      logger: silent,
    });
  }
  const target = reopen();
  return {
    target,
    data,
    artifact: workshop.artifact,
    sickMs: 4_000,
    reopen,
    async close() {
      await target.down();
      expect(findProcesses(data)).toEqual([]);
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** Command lines of all processes that have to do with a data folder. */
export function findProcesses(data: string): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((pid) => [read(`/proc/${pid}/cmdline`), read(`/proc/${pid}/environ`)])
    .filter((texts) => texts.some((text) => text.includes(data)))
    .map(([command = '']) => command.replaceAll('\0', ' '));
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
