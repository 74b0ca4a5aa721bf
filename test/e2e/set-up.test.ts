// A bare machine: a fresh clone, an empty home, an empty npm configuration and cache; from Node 20 and from Node 24.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { access, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processesOf, waitFor } from '../support/loam.ts';

const execute = promisify(execFile);
const root = path.resolve(import.meta.dirname, '../..');
const setUpTimeoutMs = 300_000;

let folder: string;
/** Folder with the `node` program of each version. */
let nodes: Readonly<Record<'20' | '24', string>>;

interface Machine {
  readonly clone: string;
  readonly environment: NodeJS.ProcessEnv;
}

interface End {
  readonly output: string;
  readonly progress: string;
  readonly seconds: number;
}

async function run(machine: Machine, cwd: string, program: string, ...programArguments: string[]): Promise<End> {
  const startedAt = performance.now();
  const { stdout, stderr } = await execute(program, programArguments, {
    cwd,
    env: machine.environment,
    timeout: setUpTimeoutMs,
    maxBuffer: 16 * 1024 * 1024,
  });
  return { output: stdout, progress: stderr, seconds: (performance.now() - startedAt) / 1000 };
}

/** What git and the network need of this machine's environment, and nothing that npm, Loam or a test runner has put there. */
function makeEnvironment(home: string, node: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|LOAM_|NODE_(?!EXTRA_CA_CERTS)|VITEST|XDG_|HOME$|PATH$)/.test(name),
  );
  const searchPath = (process.env['PATH'] ?? '')
    .split(path.delimiter)
    .filter((one) => !one.includes('node_modules') && !one.includes('loam/runtime'));
  return {
    ...Object.fromEntries(kept),
    HOME: home,
    PATH: [node, ...searchPath].join(path.delimiter),
    npm_config_userconfig: '/dev/null',
    npm_config_cache: path.join(home, 'npm'),
  };
}

async function makeMachine(name: string, node: string): Promise<Machine> {
  const home = path.join(folder, name, 'home');
  const clone = path.join(folder, name, 'a clone');
  await mkdir(home, { recursive: true });
  await execute('git', ['clone', '--quiet', '--no-hardlinks', root, clone]);
  return { clone, environment: makeEnvironment(home, node) };
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'loam-set-up-'));
  const twenty = path.join(folder, 'node20');
  await mkdir(twenty);
  const environment = makeEnvironment(folder, path.dirname(process.execPath));
  const installArguments = ['install', '--prefix', twenty, '--ignore-scripts', '--no-audit', '--no-fund'];
  await execute('npm', [...installArguments, `node-linux-${process.arch}@20.20.2`], { env: environment });
  nodes = {
    '20': path.join(twenty, `node_modules/node-linux-${process.arch}/bin`),
    '24': path.dirname(process.execPath),
  };
}, setUpTimeoutMs);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe.each(['20', '24'] as const)('a bare machine with Node %s', (version) => {
  it(
    'gets what is missing once, also when two ask at the same moment, and nothing the second time',
    async () => {
      const machine = await makeMachine(version, nodes[version]);
      const print = ['scripts/bootstrap.mjs', 'node', '--print', 'process.version'];

      const both = await Promise.all([
        run(machine, machine.clone, 'node', ...print),
        run(machine, machine.clone, 'node', ...print),
      ]);
      const again = await run(machine, machine.clone, 'node', ...print);

      const progress = both.map((end) => end.progress).join('');
      const found = (await execute(path.join(nodes[version], 'node'), ['--print', 'process.version'])).stdout;
      for (const end of [...both, again]) expect(end.output).toBe(version === '20' ? 'v24.21.0\n' : found);
      expect(progress.match(/fetching Node/g) ?? []).toHaveLength(version === '20' ? 1 : 0);
      expect(progress.match(/installing packages/g)).toHaveLength(1);
      expect(again.progress).toBe('');
      const seconds = Math.max(...both.map((end) => end.seconds)).toFixed(1);
      process.stdout.write(`set-up from Node ${version}: ${seconds} s, again ${again.seconds.toFixed(2)} s\n`);

      await checkPrograms(machine);
    },
    setUpTimeoutMs,
  );
});

/** npm scripts, the test runner and the command line program work from there, the last one from any folder and through a link. */
async function checkPrograms(machine: Machine): Promise<void> {
  const elsewhere = path.join(path.dirname(machine.clone), 'elsewhere');
  await mkdir(elsewhere);
  await symlink(path.join(machine.clone, 'scripts/loam'), path.join(elsewhere, 'link'));

  const tests = await run(machine, machine.clone, 'npm', 'test', '--', '--project', 'unit', 'test/unit/config');
  const help = await run(machine, elsewhere, './link', '--help');
  const npx = await run(machine, machine.clone, 'npx', '--no-install', 'loam', '--help');

  expect(tests.output).toMatch(/Tests .*passed/);
  expect(help.output).toMatch(/approve/);
  expect(npx.output).toBe(help.output);
  await expect(access(path.join(elsewhere, '.loam'))).rejects.toThrow('ENOENT');
}

it(
  'ends with the exit code of the program, and passes a signal on to it',
  async () => {
    const bootstrap = path.join(root, 'scripts/bootstrap.mjs');
    const wait = "process.on('SIGTERM', () => process.exit(8)); setInterval(() => 0, 1000); console.log('ready')";

    const exit = execute('node', [bootstrap, 'node', '--eval', 'process.exit(5)'], { cwd: root });
    const killed = execute('node', [bootstrap, 'node', '--eval', "process.kill(process.pid, 'SIGKILL')"], {
      cwd: root,
    });
    const stopped = execute('node', [bootstrap, 'node', '--eval', wait], { cwd: root });
    stopped.child.stdout?.once('data', () => stopped.child.kill('SIGTERM'));

    // All at once: a rejection that nobody awaits yet fails the whole test run.
    await Promise.all([
      expect(exit).rejects.toMatchObject({ code: 5 }),
      expect(killed).rejects.toMatchObject({ code: 137 }),
      expect(stopped).rejects.toMatchObject({ code: 8 }),
    ]);
  },
  setUpTimeoutMs,
);

it('ends the installation of packages when it is told to end, and holds no lock any more', async () => {
  const { clone, environment } = await makeMachine('interrupted', nodes['24']);
  const bootstrap = spawn('node', ['scripts/bootstrap.mjs', 'node', '--version'], { cwd: clone, env: environment });
  const ended = once(bootstrap, 'exit');
  const lock = path.join(clone, '.cache/install.lock');
  const isInstalling = (): boolean => processesOf(path.join(clone, 'node_modules')).length > 0;
  await waitFor('npm runs', () => existsSync(lock) && isInstalling());

  bootstrap.kill('SIGTERM');

  expect(await ended).toEqual([143, null]);
  expect(isInstalling()).toBe(false);
  expect(existsSync(lock)).toBe(false);
  expect(existsSync(path.join(clone, 'node_modules/.loam-lock'))).toBe(false);
});

it('refuses a runtime whose checksum is not the pinned one and leaves nothing of it', async () => {
  const machine = await makeMachine('tampered', nodes['20']);
  const lock = path.join(machine.clone, 'scripts/runtime/package-lock.json');
  await execute('sed', ['-i', 's/"sha512-...../"sha512-AAAAA/', lock]);

  const attempt = run(machine, machine.clone, 'node', 'scripts/bootstrap.mjs', 'node', '--version');

  await expect(attempt).rejects.toMatchObject({ code: 1 });
  const home = machine.environment['HOME'] ?? '';
  const { stdout } = await execute('find', [path.join(home, '.cache/loam'), '-type', 'f']);
  expect(stdout).toBe('');
});
