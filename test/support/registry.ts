// A real registry of images on a free port, which ends with the test run.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findOnPath } from '../../src/adapters/tool/find-tool.ts';
import { waitFor } from './activity-room.ts';
import { installPackages, mayInstall, systemPath } from './debian-packages.ts';

export interface TestRegistry {
  /** `127.0.0.1:port`, which an engine talks to without TLS. */
  readonly address: string;
  close(): Promise<void>;
}

const program = 'docker-registry';

/** What a registry with an account wants to hear, and how `htpasswd -nbB` writes it down. */
export const registryLogin = 'loam:let-me:push';
const htpasswd = 'loam:$2b$04$5YXs8kuVqu79rUifZZYQg.nk5N54.llzS5/LoOU4EMz9sxS02dkTC\n';

async function requireRegistry(): Promise<void> {
  if ((await findOnPath(program, systemPath)) !== undefined) return;
  const command = `apt-get install -y --no-install-recommends ${program}`;
  if (!mayInstall()) throw new Error(`the tests of images need a registry; run as root, or its like: ${command}`);
  const problem = await installPackages([program]);
  if (problem !== undefined) throw new Error(`"${command}" failed: ${problem}`);
}

async function takePort(): Promise<number> {
  const server = createServer().listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** With an account it takes and gives images to `registryLogin` only. */
export async function startRegistry({ hasAccount }: { readonly hasAccount: boolean }): Promise<TestRegistry> {
  await requireRegistry();
  const folder = mkdtempSync(path.join(tmpdir(), 'loam-registry-'));
  const address = `127.0.0.1:${String(await takePort())}`;
  const config = path.join(folder, 'registry.json');
  const storage = { filesystem: { rootdirectory: path.join(folder, 'data') } };
  const accounts = path.join(folder, 'htpasswd');
  writeFileSync(accounts, htpasswd);
  const auth = hasAccount ? { htpasswd: { realm: 'test', path: accounts } } : undefined;
  writeFileSync(config, JSON.stringify({ version: '0.1', storage, auth, http: { addr: address } }));
  // setpriv: the kernel ends it with this process.
  const server = spawn('setpriv', ['--pdeathsig', 'KILL', program, 'serve', config], {
    stdio: 'ignore',
    env: { PATH: systemPath },
  });
  const answers = () =>
    fetch(`http://${address}/v2/`).then(
      ({ status }) => status === (hasAccount ? 401 : 200),
      () => false,
    );
  await waitFor('the registry answers', answers, 30_000);
  return {
    address,
    async close() {
      const closed = once(server, 'close');
      server.kill('SIGKILL');
      await closed;
      rmSync(folder, { recursive: true });
    },
  };
}
