// What the tests install on a Debian machine by themselves, saying so first.
import { existsSync } from 'node:fs';
import { delimiter } from 'node:path';
import { findOnPath } from '../../src/adapters/tool/find-tool.ts';
import { runProgram } from '../../src/adapters/tool/run-program.ts';

/** Programs of the system may lie where the PATH of an ordinary user does not look. */
export const systemPath = [process.env['PATH'] ?? '', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].join(delimiter);

/** `LOAM_TEST_NO_INSTALL=true` forbids it. */
export function mayInstall(): boolean {
  return (
    process.getuid?.() === 0 && existsSync('/etc/debian_version') && process.env['LOAM_TEST_NO_INSTALL'] !== 'true'
  );
}

/** Answers what went wrong; undefined: they are there. */
export async function installPackages(names: readonly string[]): Promise<string | undefined> {
  process.stderr.write(
    `${names.join(', ')}: not here; installing the Debian packages (LOAM_TEST_NO_INSTALL=true prevents it)\n`,
  );
  await runProgram('apt-get', ['update'], { timeoutMs: 60_000 });
  // In runlevel 1 no package starts its daemon, where that is done by scripts: the tests start what they need, and nothing may be left running.
  const setting = ['RUNLEVEL=1', 'DEBIAN_FRONTEND=noninteractive'];
  // Another file of tests may be installing what it needs.
  const command = ['apt-get', '-o', 'DPkg::Lock::Timeout=120', 'install', '-y', '--no-install-recommends', ...names];
  const end = await runProgram('env', [...setting, ...command], { timeoutMs: 300_000 });
  return end.exitCode === 0 ? undefined : end.reason.slice(-300);
}

const enginePrograms = { dockerd: 'docker.io', iptables: 'iptables', busybox: 'busybox-static', ip: 'iproute2' };

/** Throws with the command to run where the engine is not here and may not be installed. */
export async function requireEnginePrograms(): Promise<void> {
  await requirePrograms(enginePrograms, 'of the Docker engine');
  checkRoot();
}

/** `programs`: their Debian packages, by name. Throws with the command to run where they are not here and may not be installed. */
export async function requirePrograms(programs: Readonly<Record<string, string>>, what: string): Promise<void> {
  const missing = await missingPackages(programs);
  if (missing.length === 0) return;
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  if (!mayInstall())
    throw new Error(`the tests ${what} need ${missing.join(', ')}; run as root, or its like: ${command}`);
  const problem = await installPackages(missing);
  if (problem !== undefined) throw new Error(`"${command}" failed: ${problem}`);
  const still = await missingPackages(programs);
  if (still.length > 0) throw new Error(`"${command}" went well, but brought no ${still.join(', ')}`);
}

function checkRoot(): void {
  if (process.getuid?.() !== 0)
    throw new Error('the tests start a Docker engine of their own, which only root can: run "sudo npm test"');
}

async function missingPackages(programs: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const found = await Promise.all(
    Object.entries(programs).map(async ([program, name]) =>
      (await findOnPath(program, systemPath)) === undefined ? [name] : [],
    ),
  );
  return found.flat();
}
