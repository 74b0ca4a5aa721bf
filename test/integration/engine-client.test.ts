import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { openEngine } from '../../src/adapters/engine/engine.ts';

it('fails a call whose answer is cut off in the middle, as by an engine that is killed', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-engine-client-'));
  const socketPath = path.join(folder, 'docker.sock');
  const server = createServer((_, response) => response.write('{', () => response.destroy()));
  await once(server.listen(socketPath), 'listening');
  try {
    await expect(openEngine(socketPath).getContainer('any').wait()).rejects.toThrow('in the middle of the answer');
  } finally {
    server.close();
    await rm(folder, { recursive: true });
  }
});
