import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import type { z } from 'zod';

/** Whole or not at all: readers never see half a file, also after a kill in mid-write. */
export async function writeFileAtomically(file: string, text: string): Promise<void> {
  const fresh = `${file}.${randomUUID().slice(0, 8)}.new`;
  try {
    await writeFile(fresh, text, { mode: 0o600 });
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
}

export async function writeJson(file: string, value: unknown): Promise<void> {
  await writeFileAtomically(file, `${JSON.stringify(value)}\n`);
}

/** Undefined when the file is absent or holds something else: both mean that its writer has not been there. */
export async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch {
    return undefined;
  }
  const result = schema.safeParse(value);
  return result.success ? result.data : undefined;
}
