// I7: ssh takes a key from a file only. It lies in a folder that its owner alone may enter, and only while one git command runs.
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { DeployKey } from '../../ports/git.ts';
import { shellQuote } from '../../core/model/shell-quote.ts';

const prefix = 'key-';
/** Longer than any command of git may take. */
const oldMs = 3_600_000;

/** Gives `work` the environment by which git connects with this key, and to known hosts only. */
export async function withKeyFiles<Result>(
  folder: string,
  { key, knownHosts }: DeployKey,
  work: (environment: Readonly<Record<string, string>>) => Promise<Result>,
): Promise<Result> {
  const own = await mkdtemp(path.join(folder, prefix)); // 0700
  try {
    const [keyFile, hostsFile] = [path.join(own, 'key'), path.join(own, 'known_hosts')];
    await writeFile(keyFile, withLineEnd(key.reveal()), { mode: 0o600 });
    await writeFile(hostsFile, withLineEnd(knownHosts), { mode: 0o600 });
    return await work({ GIT_SSH_COMMAND: sshCommand(keyFile, hostsFile) });
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

function withLineEnd(text: string): string {
  return `${text.replaceAll('\r\n', '\n').trim()}\n`;
}

/** Nothing of the user's own settings, agent, keys or hosts; no question to anybody. git hands the line to a shell. */
function sshCommand(keyFile: string, hostsFile: string): string {
  const options = [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    `UserKnownHostsFile=${setting(hostsFile)}`,
    `IdentityFile=${setting(keyFile)}`,
    'GlobalKnownHostsFile=/dev/null',
    'UpdateHostKeys=no',
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    'PreferredAuthentications=publickey',
    'ClearAllForwardings=yes',
    'ControlPath=none',
    'ConnectTimeout=20',
  ];
  const args = ['-F', '/dev/null', ...options.flatMap((one) => ['-o', one])];
  return ['ssh', ...args].map(shellQuote).join(' ');
}

/** As ssh reads a path among its settings: in one piece, and without anything to fill in. */
function setting(file: string): string {
  return `"${file.replaceAll('%', '%%')}"`;
}

/** What a killed process left. Several may share the folder: theirs are young. */
export async function removeOldKeys(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefix)) continue;
    const own = path.join(folder, name);
    const found = await stat(own).catch(() => undefined); // removed meanwhile
    if (found !== undefined && Date.now() - found.mtimeMs > oldMs) await rm(own, { recursive: true, force: true });
  }
}
