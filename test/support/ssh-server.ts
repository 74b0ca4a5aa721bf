// A real sshd without a daemon: this process listens, and hands each connection to an sshd of its own. So there is no port to collide on and nothing to be left running.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { userInfo } from 'node:os';
import path from 'node:path';
import { findOnPath } from '../../src/adapters/tool/find-tool.ts';
import { runProgram } from '../../src/adapters/tool/run-program.ts';
import { requirePrograms, systemPath } from './debian-packages.ts';

export interface SshServer {
  readonly port: number;
  readonly user: string;
  /** A private key that it lets in. */
  readonly key: string;
  /** What a file known_hosts says of it. */
  readonly knownHosts: string;
  /** All that its processes have said. */
  log(): string;
  close(): Promise<void>;
}

/** Makes a pair of keys; answers the file of the private one. */
export async function makeKey(file: string, passphrase = ''): Promise<string> {
  const end = await runProgram('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-C', 'test', '-f', file], {
    timeoutMs: 60_000,
  });
  if (end.exitCode !== 0) throw new Error(`ssh-keygen failed: ${end.reason}`);
  return file;
}

/** The line with its secret part: the first ones are the same in every key of its kind. */
export function secretLineOf(key: string): string {
  const line = key.trimEnd().split('\n').at(-3); // after it come the rest and the end mark
  if (line?.length !== 70) throw new Error('this is no whole line of an ed25519 key');
  return line;
}

/** As root on Debian it installs what is missing, saying so first. `folder`: its own. */
export async function startSshServer(folder: string): Promise<SshServer> {
  await requirePrograms({ sshd: 'openssh-server', ssh: 'openssh-client' }, 'of private repositories by ssh');
  const program = (await findOnPath('sshd', systemPath)) ?? '/usr/sbin/sshd';
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 }); // sshd goes there before it knows who calls
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const [hostKey, clientKey] = [await makeKey(path.join(folder, 'host')), await makeKey(path.join(folder, 'client'))];
  await writeFile(path.join(folder, 'authorized_keys'), await readFile(`${clientKey}.pub`, 'utf8'), { mode: 0o600 });
  const config = path.join(folder, 'sshd_config');
  const settings = [
    `HostKey ${hostKey}`,
    `AuthorizedKeysFile ${path.join(folder, 'authorized_keys')}`,
    ...['StrictModes no', 'UsePAM no', 'PidFile none', 'PasswordAuthentication no', 'LogLevel VERBOSE'],
    ...['KbdInteractiveAuthentication no', 'PermitRootLogin prohibit-password', 'LoginGraceTime 60'],
  ];
  await writeFile(config, `${settings.join('\n')}\n`);
  const children = new Set<ChildProcess>();
  let log = '';
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    const child = spawn(program, ['-i', '-e', '-f', config], { stdio: [socket, socket, 'pipe'] });
    children.add(child);
    child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
    child.on('close', () => {
      children.delete(child);
      socket.destroy();
    });
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const [type = '', text = ''] = (await readFile(`${hostKey}.pub`, 'utf8')).split(' ');
  return {
    port,
    user: userInfo().username,
    key: await readFile(clientKey, 'utf8'),
    knownHosts: `[127.0.0.1]:${port} ${type} ${text}\n`,
    log: () => log,
    close: async () => {
      server.close();
      await Promise.all(
        [...children].map(async (child) => {
          const closed = once(child, 'close');
          child.kill('SIGKILL');
          await closed;
        }),
      );
    },
  };
}
