import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Connection } from '@temporalio/client';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { retentionDays, searchAttributes } from '../../../src/adapters/temporal/namespace.ts';
import { findDevServer, startDevServer } from '../../../src/adapters/temporal/server.ts';
import type { DevServer, DevServerOptions } from '../../../src/adapters/temporal/server.ts';
import { freePort, isListening } from '../../../src/adapters/temporal/port.ts';

let folder: string;
let started: DevServer[];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'loam-server-'));
  started = [];
});

afterEach(async () => {
  await Promise.all(started.map((server) => server.stop()));
  await rm(folder, { recursive: true, force: true });
});

async function start(overrides: Partial<DevServerOptions> = {}): Promise<DevServer> {
  const program = inject('temporalProgram');
  const server = await startDevServer({ program, folder, namespace: 'loam', port: 0, uiPort: 0, ...overrides });
  started.push(server);
  return server;
}

describe('startDevServer', () => {
  it('starts a server that the next start adopts, and one that was killed is replaced on the same port', async () => {
    const first = await start();
    const second = await start();
    const found = await findDevServer(folder);

    process.kill(first.pid, 'SIGKILL');
    const third = await start();

    expect(first.adopted).toBe(false);
    expect(second).toMatchObject({ adopted: true, pid: first.pid, address: first.address, uiUrl: first.uiUrl });
    expect(found?.pid).toBe(first.pid);
    expect(third).toMatchObject({ adopted: false, address: first.address });
    expect(third.pid).not.toBe(first.pid);
    expect((await fetch(third.uiUrl)).status).toBe(200);
  });

  it('makes the namespace complete: search attributes, also of a file from before, and a month of retention', async () => {
    const { address } = await start({ namespace: 'other' });

    const again = await start({ namespace: 'loam' });

    const connection = await Connection.connect({ address: again.address });
    try {
      const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'loam' });
      const { config } = await connection.workflowService.describeNamespace({ namespace: 'loam' });
      expect(again.address).toBe(address);
      expect(customAttributes).toMatchObject(searchAttributes);
      expect(Number(config?.workflowExecutionRetentionTtl?.seconds)).toBe(retentionDays * 86_400);
    } finally {
      await connection.close();
    }
  });

  it('ends at once when told, and leaves nothing to be found', async () => {
    const server = await start();

    await server.stop();
    await server.stop();

    await vi.waitFor(() => expect(() => process.kill(server.pid, 0)).toThrow('ESRCH'), { timeout: 30_000 });
    expect(await findDevServer(folder)).toBeUndefined();
  });

  it('says which setting to change when its port is taken', async () => {
    const port = await freePort();
    await start({ port });

    const other = start({ folder: path.join(folder, 'other'), port });

    await expect(other).rejects.toMatchObject({ code: 'temporal-unavailable' });
    await expect(other).rejects.toThrow(/LOAM_TEMPORAL_PORT/);
  });

  it('ends in tests with the process that started it, also when that is killed', async () => {
    const module = path.resolve(import.meta.dirname, '../../../src/adapters/temporal/server.ts');
    const options = {
      program: inject('temporalProgram'),
      folder,
      namespace: 'loam',
      port: 0,
      uiPort: 0,
      forTests: true,
    };
    const script = `const { startDevServer } = await import(${JSON.stringify(module)});
      const server = await startDevServer(${JSON.stringify(options)});
      console.log(server.address); setInterval(() => 0, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const port = Number(line.toString().trim().split(':').at(-1));

    parent.kill('SIGKILL');

    await vi.waitFor(async () => expect(await isListening(port)).toBe(false), { timeout: 15_000, interval: 50 });
    await vi.waitFor(async () => expect(await findDevServer(folder)).toBeUndefined(), {
      timeout: 15_000,
      interval: 50,
    });
  });

  it('shows the end of the log when the program does not start a server', async () => {
    const broken = start({ program: '/bin/false' });

    await expect(broken).rejects.toMatchObject({ code: 'temporal-unavailable' });
  });
});
