import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { CliContext } from './context.ts';
import { CliFailure, exitCodes } from './failure.ts';

/** All of standard input as text; bounded. */
export async function readInput(input: AsyncIterable<Uint8Array>, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of input) {
    size += chunk.length;
    if (size > maxBytes)
      throw new CliFailure(exitCodes.failed, `Standard input is larger than ${maxBytes} bytes`, {
        code: 'input-too-large',
      });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** A secret from a file, else from standard input; never an argument, which other users of the machine see. One line break at the end is left out. */
export async function readSecret(
  { folder, input, isInputTerminal, writeError }: CliContext,
  file: string | undefined,
  maxBytes: number,
): Promise<string> {
  if (file === undefined && isInputTerminal) writeError('Type the secret, then Ctrl-D on a line of its own:\n');
  const text = file === undefined ? await readInput(input, maxBytes) : await readSecretFile(folder, file);
  return text.replace(/\r?\n$/, '');
}

async function readSecretFile(folder: string, file: string): Promise<string> {
  try {
    return await readFile(path.resolve(folder, file), 'utf8');
  } catch {
    throw new CliFailure(exitCodes.notFound, `${file} cannot be read`, { code: 'not-found' });
  }
}
