import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../server.mjs', import.meta.url));

it('serves on its port until TERM, and ends well', { timeout: 20_000 }, async () => {
  const server = spawn(process.execPath, [program], {
    env: { PORT: '0', GREETING: 'hello' }, // 0: any free port
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface(server.stdout), 'line');
  const port = /port (\d+)$/.exec(line)?.[1];

  const response = await fetch(`http://127.0.0.1:${port}/`);
  const body = await response.json();
  server.kill('SIGTERM');
  const [code] = await once(server, 'exit');

  assert.equal(response.status, 200);
  assert.equal(body.greeting, 'hello');
  assert.equal(code, 0);
});
