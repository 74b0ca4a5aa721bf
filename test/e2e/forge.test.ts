// A forge elsewhere: its private repository is read by ssh with a deploy key that no job sees, and it is told how the runs of its commits stand, whatever dies.
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { CanarySearch, watchCommandLines } from '../support/canaries.ts';
import { deliver, generic, github, postSigned } from '../support/deliveries.ts';
import { createLedger, servedFiles } from '../support/ledger.ts';
import type { Ledger } from '../support/ledger.ts';
import { createLoam, createWorkingCopy, run, waitFor } from '../support/loam.ts';
import type { Loam } from '../support/loam.ts';
import { addSilentApplication, decide, readLog, waitForEnd, waitForGate } from '../support/runs.ts';
import { secretLineOf, startSshServer } from '../support/ssh-server.ts';
import type { SshServer } from '../support/ssh-server.ts';
import { created, refuse, startStatusForge } from '../support/status-forge.ts';
import type { StatusForge } from '../support/status-forge.ts';
import { kill, waitForAnother } from '../support/victims.ts';
import type { Victim } from '../support/victims.ts';

/** Of the proxies in front: the test stands in for them where it calls. */
const publicUrl = 'https://loam.example/ci';
const relayPublicUrl = 'https://hooks.example';
const token = 'github_pat_canary-of-the-forge';

let ledger: Ledger;
let loam: Loam;
let server: SshServer;
let forge: StatusForge;

beforeAll(async () => {
  ledger = await createLedger();
  forge = await startStatusForge();
  const urls = { LOAM_PUBLIC_URL: `${publicUrl}/`, LOAM_RELAY_PUBLIC_URL: relayPublicUrl };
  loam = await createLoam({ ...ledger.env, ...urls });
  server = await startSshServer(path.join(loam.folder, 'sshd'));
  await loam.start();
});

afterAll(async () => {
  await loam.destroy();
  await server.close();
  forge.close();
  await ledger.close();
});

/** A file that a command of `loam` is given, elsewhere than in the folder of its data. */
async function fileOf(name: string, text: string): Promise<string> {
  const file = path.join(loam.folder, name);
  await writeFile(file, text, { mode: 0o600 });
  return file;
}

/** Looks for texts, which it knows from right to left only, wherever a job can look. Where the control is found, the key would have been. */
const look = `import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
const wanted = Object.entries(JSON.parse(process.env.WANTED)).map(([name, text]) => [name, text.split('').reverse().join('')]);
const found = new Set();
let looks = 0;
function lookAt(file, kind) {
  let bytes;
  try {
    if (statSync(file).size > 65_536) return;
    bytes = readFileSync(file);
  } catch {
    return; // another user's, or gone
  }
  looks += 1;
  for (const [name, text] of wanted) if (bytes.includes(text)) found.add(name + ' in ' + kind);
}
function walk(folder) {
  let entries = [];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    // closed to this user
  }
  for (const entry of entries) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory() && !['/dev', '/proc', '/sys', '/usr'].includes(file)) walk(file);
    else if (entry.isFile()) lookAt(file, 'a file');
  }
}
for (const pid of readdirSync('/proc').filter((name) => Number(name) > 0)) {
  lookAt('/proc/' + pid + '/cmdline', 'a command line');
  lookAt('/proc/' + pid + '/environ', 'an environment');
}
walk('/');
console.log([...found].sort().join(', ') + ' among ' + looks);
`;

function lookingFiles(key: string): Readonly<Record<string, string>> {
  const control = `control-${randomBytes(12).toString('hex')}`;
  const reverse = (text: string): string => text.split('').reverse().join('');
  const wanted = JSON.stringify({ control: reverse(control), key: reverse(key) });
  return {
    'look.mjs': look,
    'control.txt': control,
    'loam.yaml': `version: 1
workflow:
  look: {type: repo_job, network: none, cmd: node look.mjs "$CONTROL", env: {CONTROL: ${control}, WANTED: '${wanted}'}}
`,
  };
}

it('reads a private repository by ssh when a signed webhook tells of a push, and no job sees the key (I7, I8)', async () => {
  const remote = path.join(loam.folder, 'remote.git');
  await run('git', ['init', '--quiet', '--bare', remote], { cwd: loam.folder });
  const repository = `ssh://${server.user}@127.0.0.1:${String(server.port)}${remote}`;
  const files = ['--deploy-key', await fileOf('key', server.key)];
  files.push('--known-hosts', await fileOf('known_hosts', server.knownHosts));
  const answer = await loam.json(['app', 'add', 'private', '--repository', repository, ...files]);
  const { triggerUrl, triggerSecret } = z.object({ triggerUrl: z.string(), triggerSecret: z.string() }).parse(answer);
  expect(triggerUrl.startsWith(`${relayPublicUrl}/v1/triggers/`)).toBe(true);
  expect(await loam.json(['app', 'show', 'private'])).toMatchObject({ triggerUrl });
  const trigger = triggerUrl.replace(relayPublicUrl, loam.endpoint().relayUrl);
  const key = secretLineOf(server.key);
  // What a git that was killed leaves for a while lies beside the repositories.
  const left = path.join(loam.dataFolder, 'mirrors/key-left');
  await mkdir(left, { recursive: true, mode: 0o700 });
  await writeFile(path.join(left, 'key'), server.key, { mode: 0o600 });
  const search = new CanarySearch({ key });
  const commandLines = watchCommandLines(search);

  const copy = await createWorkingCopy(loam, remote, lookingFiles(key));
  const { sha } = await copy.push('Look for the key');
  const delivery = github(sha, '0'.repeat(40));
  const forged = await postSigned(trigger, `${triggerSecret}x`, delivery);
  const taken = await postSigned(trigger, triggerSecret, delivery);
  const ended = await waitForEnd(loam, 'private/1');
  const rounds = await commandLines.stop();
  const [, found = '', looks] = /^(control in .*) among (\d+)$/m.exec(await readLog(loam, 'private/1', 'look')) ?? [];
  search.searchFolder(loam.dataFolder, (name) => name === 'mirrors/key-left/key');

  expect([forged.status, taken.status]).toEqual([401, 202]);
  expect(ended).toMatchObject({ status: 'succeeded', commit: sha });
  expect(server.log()).toContain('Accepted publickey');
  expect(found).toBe('control in a command line, control in a file, control in an environment');
  expect(Number(looks)).toBeGreaterThan(5);
  expect(rounds).toBeGreaterThan(5);
  expect(search.leaks).toEqual([]);
});

/** An application whose runs build for as long as a test likes, wait for a person and deploy, and of whose commits the forge is told. */
async function addTold(name: string): Promise<(message: string) => Promise<string>> {
  const files = servedFiles(ledger, name, { gate: 'approve', build: 'slow' });
  const copy = await addSilentApplication(loam, name, files, { place: {} });
  const place = ['--repository', `acme/${name}`, '--api-url', forge.apiUrl];
  await loam.json(['app', 'status', name, '--token-file', await fileOf('token', `${token}\n`), ...place]);
  return async (message) => {
    const { sha } = await copy.push(message);
    expect((await deliver(loam, name, generic(sha))).result).toBe('accepted');
    return sha;
  };
}

/** What the forge was told, without repetitions. */
function statesTold(context: string): readonly string[] {
  return forge.statesOf(context).filter((state, index, all) => state !== all[index - 1]);
}

function waitForLast(context: string, state: string): Promise<void> {
  return waitFor(`${context} is ${state}`, () => forge.statesOf(context).at(-1) === state);
}

async function killAndWait(victim: Victim): Promise<void> {
  await waitForAnother(loam, victim, '', await kill(loam, victim, ''));
}

it('tells the forge how a run and its gate stand, also when worker and api are killed in between', async () => {
  const push = await addTold('told');
  const sha = await push('Tell of it');
  await ledger.waitForNote('told/1 build begins');
  await waitForLast('loam/told', 'pending');
  await killAndWait('worker');
  forge.answer = refuse(502, 'Bad Gateway');
  ledger.open('told/1 build');
  await waitForGate(loam, 'told/1');
  await waitForLast('loam/told/approve', 'pending'); // and not taken
  await killAndWait('api');
  const before = forge.told.length;
  forge.answer = created;
  await waitFor('the gate is told again', () =>
    forge.told.slice(before).some(({ context }) => context === 'loam/told/approve'),
  );
  ledger.open('told 1');
  expect((await decide(loam, 'told/1', 'approve', 'approved')).status).toBe(201);
  const ended = await waitForEnd(loam, 'told/1');
  await waitForLast('loam/told', 'success');
  await waitForLast('loam/told/approve', 'success');

  expect(ended.status).toBe('succeeded');
  expect(ledger.count('told/1 build begins')).toBe(1);
  expect([statesTold('loam/told'), statesTold('loam/told/approve')]).toEqual([
    ['pending', 'success'],
    ['pending', 'success'],
  ]);
  for (const one of forge.told)
    expect(one).toMatchObject({
      path: `POST /api/v3/repos/acme/told/statuses/${sha}`,
      authorization: `Bearer ${token}`,
      url: `${publicUrl}/v1/runs/told/1`,
    });
});

it('tells the forge that a person has rejected a commit', async () => {
  const push = await addTold('rejected');
  ledger.open('rejected/1 build');
  await push('Reject it');
  await waitForGate(loam, 'rejected/1');
  await waitForLast('loam/rejected/approve', 'pending');
  await decide(loam, 'rejected/1', 'approve', 'rejected');
  await waitForLast('loam/rejected', 'failure');

  expect((await waitForEnd(loam, 'rejected/1')).status).toBe('failed');
  expect([statesTold('loam/rejected'), statesTold('loam/rejected/approve')]).toEqual([
    ['pending', 'failure'],
    ['pending', 'failure'],
  ]);
});
