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
