// Runs a command under the pinned Node with all packages installed, whatever Node (>= 18) started this file.
// usage: node scripts/bootstrap.mjs <program> [arguments]
// `node` and the programs of node_modules/.bin are found first. Without a program it only installs.
// Plain JavaScript without dependencies: it runs before anything is there.
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { constants, homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const lowestMinor = 15;
const npmCi = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
const lockStaleMs = 15_000;
const lockWaitMs = 10 * 60_000;

process.on('uncaughtException', (error) => die(error.message));

const node = await findNode();
const env = {
  ...process.env,
  PATH: [path.dirname(node), path.join(root, 'node_modules/.bin'), process.env.PATH ?? ''].join(path.delimiter),
  // Type stripping costs 200 ms a start without it.
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? path.join(root, 'node_modules/.cache/node'),
};
await installPackages();
linkCommand();
await runProgram(process.argv.slice(2));

function say(text) {
  process.stderr.write(`loam: ${text}\n`);
}

function die(text) {
  say(text);
  process.exit(1);
}

/** The Node that started this, if it is new enough; else the pinned one from the cache; else it is fetched there. */
async function findNode() {
  const wanted = JSON.parse(readFileSync(path.join(root, 'scripts/runtime/package.json'), 'utf8')).version;
  const wantedMajor = Number(wanted.split('.')[0]);
  const [major, minor] = process.versions.node.split('.').map(Number);
  const isNewEnough = major > wantedMajor || (major === wantedMajor && minor >= lowestMinor);
  if (isNewEnough && process.env.LOAM_NODE !== 'pinned') return process.execPath;

  const cache = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'loam/runtime');
  const home = path.join(cache, `node-${wanted}-${process.platform}-${process.arch}`);
  const found = path.join(home, 'bin/node');
  if (existsSync(found)) return found;
  refuseInstall(`Node ${wanted}`);
  return withLock(path.join(cache, '.lock'), async () => {
    if (existsSync(found)) return found;
    say(`this is Node ${process.versions.node}; fetching Node ${wanted} into ${home}`);
    await fetchNode(wanted, cache, home);
    return found;
  });
}

async function fetchNode(wanted, cache, home) {
  const work = path.join(cache, `.work-${randomBytes(6).toString('hex')}`);
  mkdirSync(work, { recursive: true });
  process.on('exit', () => rmSync(work, { recursive: true, force: true }));
  cpSync(path.join(root, 'scripts/runtime'), work, { recursive: true });
  await npm(npmCi, work, process.env);

  // npm drops an optional package whose checksum is wrong and still exits 0: only the file itself proves that it came.
  const packed = path.join(work, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin/node');
  const remedy = `install Node >= ${wanted.split('.')[0]}.${lowestMinor} and try again`;
  if (!existsSync(packed)) {
    die(`no Node ${wanted} for ${process.platform}-${process.arch} (platform, network or checksum): ${remedy}`);
  }
  const fresh = path.join(work, 'home/bin/node');
  mkdirSync(path.dirname(fresh), { recursive: true });
  renameSync(packed, fresh);
  const probe = spawnSync(fresh, ['--version'], { encoding: 'utf8' });
  if (probe.stdout?.trim() !== `v${wanted}`) {
    die(`the fetched Node does not run here (${probe.stderr || probe.error?.message}): ${remedy}`);
  }
  try {
    renameSync(path.join(work, 'home'), home);
  } catch (error) {
    if (!existsSync(path.join(home, 'bin/node'))) throw error; // else another machine on the same disk was first
  }
}

/** By content of the lock, not by time: a checkout changes times, and `npm ci` removes the stamp when it begins. */
async function installPackages() {
  const wanted = createHash('sha256')
    .update(readFileSync(path.join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = path.join(root, 'node_modules/.loam-lock');
  const isFresh = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
  if (isFresh()) return;
  refuseInstall('the packages');
  await withLock(path.join(root, '.cache/install.lock'), async () => {
    if (isFresh()) return;
    const startedAt = Date.now();
    say('installing packages (npm ci) ...');
    await npm(npmCi, root, env);
    writeFileSync(stamp, wanted);
    say(`packages installed in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
  });
}

function refuseInstall(what) {
  if (process.env.LOAM_TEST_NO_INSTALL === 'true') die(`LOAM_TEST_NO_INSTALL is set and ${what} must be installed`);
}

/** `npm run` names its own script, which any Node can start; else npm comes from PATH. */
async function npm(args, directory, environment) {
  const script = process.env.npm_execpath;
  const [program, first] = script?.endsWith('npm-cli.js') ? [process.execPath, [script]] : ['npm', []];
  const options = { cwd: directory, env: environment, stdio: ['ignore', 2, 2] };
  const { code, signal } = await run(program, [...first, ...args], options);
  if (signal !== null) process.exit(128 + constants.signals[signal]);
  if (code !== 0) throw new Error(`"npm ${args.join(' ')}" failed in ${directory}`);
}

/**
 * A folder as the lock, since mkdir is atomic everywhere. The holder writes its process id into it; a lock whose
 * holder is gone is taken over by a rename, which only one of those who wait can win.
 */
async function withLock(lock, work) {
  const deadline = Date.now() + lockWaitMs;
  mkdirSync(path.dirname(lock), { recursive: true });
  let hasSaid = false;
  while (!tryLock(lock)) {
    if (Date.now() > deadline) die(`waited too long for another bootstrap; if none runs, remove ${lock}`);
    if (isStale(lock)) takeAway(lock);
    else if (!hasSaid) say('waiting for another bootstrap that is installing ...');
    hasSaid = true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const release = () => rmSync(lock, { recursive: true, force: true });
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.off('exit', release);
    release();
  }
}

function tryLock(lock) {
  try {
    mkdirSync(lock);
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
  writeFileSync(path.join(lock, 'pid'), String(process.pid));
  return true;
}

function isStale(lock) {
  const holder = readHolder(lock);
  if (holder === undefined) return ageMs(lock) > lockStaleMs; // it died, or is, between making the folder and the file
  try {
    process.kill(holder, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

function readHolder(lock) {
  try {
    return Number(readFileSync(path.join(lock, 'pid'), 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}

function ageMs(file) {
  try {
    return Date.now() - statSync(file).mtimeMs;
  } catch {
    return 0; // released meanwhile
  }
}

function takeAway(lock) {
  const gone = `${lock}-${randomBytes(6).toString('hex')}`;
  try {
    renameSync(lock, gone);
  } catch {
    return; // another one was faster
  }
  rmSync(gone, { recursive: true, force: true });
}

/** `npx loam ...` in a clone. A broken link must not stop anything else. */
function linkCommand() {
  const link = path.join(root, 'node_modules/.bin/loam');
  try {
    if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) return;
    symlinkSync('../../scripts/loam', link);
  } catch {
    // read-only or raced: `scripts/loam` itself still works
  }
}

async function runProgram([program, ...args]) {
  if (program === undefined) return;
  const { code, signal } = await run(program === 'node' ? node : program, args, { env, stdio: 'inherit' });
  process.exit(code ?? 128 + constants.signals[signal]);
}

/** Hands on the signals that would end this process, so that what it started never outlives it. */
function run(program, args, options) {
  const child = spawn(program, args, options);
  const forward = (signal) => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal); // a terminal has sent it to the child already
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];
  for (const signal of signals) process.on(signal, forward);
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Error(`cannot start ${program}: ${error.message}`)));
    child.on('exit', (code, signal) => {
      for (const one of signals) process.off(one, forward);
      resolve({ code, signal });
    });
  });
}
