// The relay as a process of its own, by real HTTP and real files.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { freePort } from '../../src/adapters/temporal/port.ts';
import { shaOf, sign, startTestApi } from '../support/api.ts';
import { addThingy } from '../support/doors-runs.ts';
import { run } from '../support/loam.ts';
import { waitFor } from '../support/run-rows.ts';

const secret = 's'.repeat(32);
const root = path.resolve(import.meta.dirname, '../..');

interface Seen {
  readonly trigger: string;
  readonly id: string;
  readonly source: string;
}

let folder: string;
let port: number;
let apiPort: number;
let relay: ChildProcess | undefined;
let api: Server | undefined;
let seen: Seen[];
let printed: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'loam-relay-'));
  [port, apiPort] = [await freePort(), await freePort()];
  seen = [];
  printed = '';
  const triggers = ['trigger-thingy', 'trigger-other'].map((trigger) => ({ trigger, secret }));
  await mkdir(path.join(folder, 'data/relay'), { recursive: true });
  await writeFile(path.join(folder, 'triggers.json'), JSON.stringify({ version: 1, triggers }));
});

afterEach(async () => {
  await kill();
  api?.closeAllConnections();
  api?.close();
  api = undefined;
  await rm(folder, { recursive: true, force: true });
});

function environment(change: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return {
    ...process.env,
    LOAM_DATA_DIR: path.join(folder, 'data'),
    LOAM_RELAY_PORT: String(port),
    LOAM_RELAY_TRIGGERS: path.join(folder, 'triggers.json'),
    LOAM_RELAY_PER_SECOND: '9999',
    LOAM_URL: `http://127.0.0.1:${apiPort}`,
    ...change,
  };
}

async function start(change: Readonly<Record<string, string>> = {}, wrapper: readonly string[] = []): Promise<void> {
  const [program = process.execPath, ...args] = wrapper.concat(process.execPath, path.join(root, 'src/main/relay.ts'));
  const child = spawn(program, args, { env: environment(change), stdio: ['ignore', 'pipe', 'pipe'] });
  relay = child;
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (printed += String(chunk)));
  await waitFor('the relay is ready', () =>
    fetch(`http://127.0.0.1:${port}/readyz`).then(
      ({ ok }) => ok,
      () => {
        if (child.exitCode !== null) throw new Error(`the relay ended:\n${printed}`);
        return false;
      },
    ),
  );
}

async function kill(): Promise<void> {
  if (relay?.exitCode !== null || relay.signalCode !== null) return;
  const ended = once(relay, 'exit');
  relay.kill('SIGKILL');
  await ended;
}

async function startApi(statusOf: (seen: Seen) => number = () => 202): Promise<void> {
  api = createServer((request, response) => {
    request.resume().on('end', () => {
      const one = {
        trigger: request.url?.split('/').at(-1) ?? '',
        id: String(request.headers['webhook-id']),
        source: String(request.headers['x-loam-delivery']),
      };
      seen.push(one);
      response.writeHead(statusOf(one)).end('{}');
    });
  }).listen(apiPort, '127.0.0.1');
  await once(api, 'listening');
}

function makeBody(name: string): string {
  const push = { ref: 'refs/heads/main', before: shaOf('older'), after: shaOf(name) };
  return JSON.stringify({ ...push, pushed_at: '2026-01-02T03:04:05Z' });
}

async function send(name: string, change: Readonly<Record<string, string>> = {}, body = makeBody(name)) {
  const { trigger = 'trigger-thingy', ...headers } = change;
  const response = await fetch(`http://127.0.0.1:${port}/v1/triggers/${trigger}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-loam-delivery': name,
      'x-hub-signature-256': sign(secret, body),
      ...headers,
    },
    body,
  });
  const answer = (await response.json()) as Readonly<Record<string, unknown>>;
  return { status: response.status, code: answer['code'], delivery: answer['delivery'] };
}

async function kept(kind: 'waiting' | 'dead'): Promise<readonly string[]> {
  return (await readdir(path.join(folder, 'data/relay', kind))).filter((name) => name.endsWith('.json'));
}

function cli(...args: readonly string[]) {
  return run(process.execPath, [path.join(root, 'src/main/cli.ts'), 'relay', ...args], {
    cwd: folder,
    env: environment(),
  });
}

it('keeps what it answered 202 over a kill -9 and while the API is away, and forwards it in order (I1)', async () => {
  await start();
  const names = ['one', 'two', 'three', 'four'];
  const answers = [];
  for (const name of names) answers.push(await send(name));
  await kill();
  await writeFile(path.join(folder, 'data/relay/waiting/half.json.tmp'), '{"digest":');
  expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 202]);
  expect(await kept('waiting')).toHaveLength(4);

  await start();
  let isAway = true;
  await startApi(({ source }) => (source === 'one' && isAway ? ((isAway = false), 503) : 202));
  await waitFor('all are forwarded', async () => (await kept('waiting')).length === 0);

  expect(seen.map(({ source }) => source)).toEqual(['one', ...names]);
  expect(seen.slice(1).map(({ id }) => id)).toEqual(answers.map(({ delivery }) => delivery));
  expect(seen[0]?.id).toBe(seen[1]?.id);
  expect(await readdir(path.join(folder, 'data/relay/waiting'))).toEqual([]);
  expect(printed).not.toContain(secret);
});

it('does not hold up one repository for another', async () => {
  await startApi(({ trigger }) => (trigger === 'trigger-thingy' ? 503 : 202));
  await start();
  await send('stuck');
  await send('free', { trigger: 'trigger-other' });

  await waitFor('the other one is forwarded', () => seen.some(({ source }) => source === 'free'));

  await waitFor('only the stuck one waits', async () => (await kept('waiting')).length === 1);
});

it('puts what is refused or torn aside with the reason, and "loam relay" lists, replays and drops it', async () => {
  let isRefused = true;
  await startApi(() => (isRefused ? 422 : 202));
  await start();
  const { delivery } = await send('refused');
  const { delivery: second } = await send('dropped');
  await waitFor('they are dead', async () => (await kept('dead')).length === 2);
  const [sample = ''] = await kept('dead');
  const torn = (await readFile(path.join(folder, 'data/relay/dead', sample), 'utf8')).slice(0, -40);
  await writeFile(path.join(folder, 'data/relay/waiting', sample.replace(/[0-9a-f-]{36}/, 'f'.repeat(36))), torn);
  await waitFor('the torn one is dead too', async () => (await kept('dead')).length === 3);

  const listed = JSON.parse((await cli('list', '--json')).stdout) as { deliveries: Record<string, string>[] };
  const dropped = await cli('drop', String(second), 'f'.repeat(36));
  isRefused = false;
  const replayed = await cli('replay', String(delivery));
  await waitFor(
    'it is forwarded',
    async () => (await kept('dead')).length === 0 && (await kept('waiting')).length === 0,
  );

  expect(listed.deliveries.map((one) => one['reason']?.split(':')[0]).sort()).toEqual([
    'input-invalid',
    'status 422',
    'status 422',
  ]);
  expect([dropped.code, replayed.code, (await cli('replay', 'nobody-at-all')).code]).toEqual([0, 0, 4]);
  expect(seen.map(({ source }) => source)).toEqual(['refused', 'dropped', 'refused']);
});

it('answers 503 when the disk is full and keeps every 202 (I1, I10)', async () => {
  const data = path.join(folder, 'data/relay');
  const mount = `mount -t tmpfs -o size=400k tmpfs ${data} && exec "$@"`;
  await start({}, ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', mount, 'sh']);
  const body = JSON.stringify({ ...(JSON.parse(makeBody('x')) as object), message: 'x'.repeat(100_000) });
  const answers = [];
  for (const name of ['1', '2', '3', '4', '5', '6']) answers.push(await send(name, {}, body));
  const taken = answers.filter(({ status }) => status === 202);
  const refused = answers.filter(({ status }) => status === 503);

  await startApi();
  await waitFor('all that were taken are forwarded', () => new Set(seen.map(({ id }) => id)).size === taken.length);

  expect(taken.length).toBeGreaterThan(0);
  expect(refused.length).toBe(6 - taken.length);
  expect(refused.length).toBeGreaterThan(0);
  expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(['spool-unavailable']));
  expect(new Set(seen.map(({ id }) => id))).toEqual(new Set(taken.map(({ delivery }) => delivery)));
});

it('lets none of 10,000 malformed and mis-signed deliveries into the spool, with flat memory (I10)', async () => {
  await start({ LOAM_LOG_LEVEL: 'warn' });
  const residentKb = async (): Promise<number> => {
    const status = await readFile(`/proc/${String(relay?.pid)}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
  };
  const statuses = new Set<number>();
  async function flood(count: number): Promise<void> {
    let left = count;
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (; left > 0; left -= 1) {
          const kind = left % 4;
          const change = [
            { 'x-hub-signature-256': sign('another', 'x') },
            { trigger: `t${left}` },
            {},
            { 'x-loam-delivery': ' ' },
          ][kind];
          statuses.add((await send('x', change, kind === 2 ? `{"ref": ${left}` : makeBody('x'))).status);
        }
      }),
    );
  }
  await flood(3_000);
  const before = await residentKb();
  await flood(7_000);
  const after = await residentKb();

  expect([...statuses].sort()).toEqual([401, 422]);
  expect(await readdir(path.join(folder, 'data/relay/waiting'))).toEqual([]);
  expect(after - before).toBeLessThan(60_000);
});

it('answers 429 to who sends too much, and 413 to what is too large (I10)', async () => {
  await start({ LOAM_RELAY_PER_SECOND: '1' });
  const answers = await Promise.all(Array.from({ length: 40 }, (_, at) => send(`d${at}`)));

  expect(answers.filter(({ code }) => code === 'rate-limited').length).toBeGreaterThan(10);
  await waitFor('it may send again', async () => (await send('large', {}, 'x'.repeat(1_048_577))).status === 413);
});

it('makes one run of five redeliveries by relay, hook and webhook together (I1)', async () => {
  const real = await startTestApi();
  try {
    await addThingy(real.store);
    await start({ LOAM_URL: real.server.url });
    const body = makeBody('newer');
    const headers = {
      'content-type': 'application/json',
      'x-loam-delivery': 'd1',
      'x-hub-signature-256': sign(secret, body),
    };
    const direct = (delivery: string, source: string) => {
      const post = {
        role: 'nobody' as const,
        body,
        headers: { ...headers, 'x-loam-delivery': delivery, 'x-loam-source': source },
      };
      return real.call('POST', '/v1/triggers/trigger-thingy', post);
    };
    const relayed = [];
    for (let count = 0; count < 5; count += 1) relayed.push(await send('d1', {}, body));
    await direct('hook-1', 'hook');
    await direct('webhook-1', 'webhook');
    await waitFor('all are forwarded', async () => (await kept('waiting')).length === 0);

    expect(await real.store.runs.list({ limit: 10 })).toHaveLength(1);
    for (const { delivery } of relayed)
      expect((await real.call('GET', `/v1/deliveries/${String(delivery)}`)).body['run']).toBe('thingy/1');
  } finally {
    await real.destroy();
  }
});
