import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import Docker from 'dockerode';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { killEngine, letEngineStart, processesNaming, startEngine, startEngineHost } from '../support/engine-host.ts';
import type { TestEngine } from '../support/engine-host.ts';
import { useEngine } from '../support/engine.ts';

const serve = `require('http').createServer((q, r) => r.end('hello from the container')).listen(8080)`;
const hostFile = path.resolve(import.meta.dirname, '../support/engine-host.ts');

async function fetchText(address: string): Promise<string> {
  return vi.waitFor(async () => (await fetch(address)).text(), { timeout: 15_000, interval: 50 });
}

describe('the test engine', () => {
  let engine: TestEngine;
  let docker: Docker;

  beforeAll(async () => {
    engine = await useEngine();
    docker = new Docker({ socketPath: engine.socketPath });
  });

  it('is one for all who ask', async () => {
    expect(await useEngine()).toEqual(engine);
  });

  it('runs a container from an image that came from no registry', async () => {
    const container = await docker.createContainer({ Image: engine.images.busybox, Cmd: ['sh', '-c', 'exit 7'] });
    await container.start();

    expect(await container.wait()).toMatchObject({ StatusCode: 7 });
    await container.remove();
  });

  it('is reached from the host: by a published port, by the address of a container, also of its own networks', async () => {
    const network = await docker.createNetwork({ Name: 'loam-test-reach' });
    const container = await docker.createContainer({
      Image: engine.images.node,
      Cmd: ['node', '-e', serve],
      ExposedPorts: { '8080/tcp': {} },
      HostConfig: {
        NetworkMode: 'loam-test-reach',
        PortBindings: { '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] },
      },
    });
    try {
      await container.start();
      const { NetworkSettings: settings } = await container.inspect();
      const port = settings.Ports['8080/tcp']?.[0]?.HostPort ?? '';
      const address = settings.Networks['loam-test-reach']?.IPAddress ?? '';

      expect(await fetchText(`http://127.0.0.1:${port}`)).toBe('hello from the container');
      expect(await fetchText(`http://${address}:8080`)).toBe('hello from the container');
    } finally {
      await container.remove({ force: true });
      await network.remove();
    }
  });

  it('can be killed alone and started again, and knows its containers', async () => {
    const { host, engine } = await startEngine();
    const docker = new Docker({ socketPath: engine.socketPath });
    const HostConfig = { Init: true }; // hears TERM: an engine that comes back ends what ran, and waits 10 s for what does not hear
    const container = await docker.createContainer({ Image: engine.images.busybox, Cmd: ['sleep', '600'], HostConfig });
    await container.start();

    await killEngine(engine.folder);
    await expect(docker.ping()).rejects.toThrow();
    await letEngineStart(engine.folder);

    expect((await container.inspect()).Config.Cmd).toEqual(['sleep', '600']);
    await host.stop();
  });

  it('leaves no process when its test run is killed; the next one deletes the rest', async () => {
    const script = `import { startEngineHost } from ${JSON.stringify(hostFile)};
      const host = await startEngineHost(); console.log(host.folder); setInterval(() => {}, 1000);`;
    const run = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(run.stdout, 'data')) as [Buffer];
    const folder = line.toString().trim();
    const bridge = `loamtest${(JSON.parse(readFileSync(path.join(folder, 'owner'), 'utf8')) as { number: number }).number}`;
    expect(existsSync(`/sys/class/net/${bridge}`)).toBe(true);

    run.kill('SIGKILL');
    await once(run, 'close');
    await vi.waitFor(() => expect(processesNaming(folder)).toEqual([]), { timeout: 10_000, interval: 20 });
    expect(readFileSync('/proc/mounts', 'utf8')).not.toContain(folder);
    const next = await startEngineHost();
    await next.stop();

    expect([existsSync(folder), existsSync(next.folder), existsSync(`/sys/class/net/${bridge}`)]).toEqual([
      false,
      false,
      false,
    ]);
  });
});
