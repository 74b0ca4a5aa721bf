// An application of the bench: its commits, its deliveries, its runs.
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import path from 'node:path';
import { z } from 'zod';
import { signBody } from '../../src/api/signature.ts';
import { Secret } from '../../src/ports/secret.ts';
import type { Door } from '../support/deliveries.ts';
import { addApplication } from '../support/runs.ts';
import { run } from '../support/loam.ts';
import type { Loam } from '../support/loam.ts';

const Hook = z.object({ trigger: z.string(), secret: z.string() });
const Answer = z.object({ result: z.string(), run: z.string().nullable() });

const noCommit = '0'.repeat(40);
// One connection for each call that is under way: the door is measured, not the handshake.
const agent = new Agent({ keepAlive: true, maxSockets: 64 });

export interface Told {
  /** Milliseconds since 1970 when the first byte was about to be sent. */
  readonly sentAtMs: number;
  readonly answerMs: number;
  readonly answer: string;
}

export interface Delivered {
  readonly sentAtMs: number;
  readonly run: string;
}

export interface BenchApplication {
  readonly name: string;
  /** So many commits of this plan on main, one on the other, straight into the repository: no hook tells anybody. */
  commits(plan: string, count: number): Promise<readonly string[]>;
  /** Sends a signed delivery of the commit and waits for the answer. Throws unless it is 2xx. */
  tell(sha: string, door: Door): Promise<Told>;
  /** Tells the API. Throws unless a run starts. */
  deliver(sha: string): Promise<Delivered>;
}

export async function createApplication(loam: Loam, name: string): Promise<BenchApplication> {
  const repository = await addApplication(loam, name);
  const hook = Hook.parse(JSON.parse(await readFile(path.join(loam.dataFolder, 'hooks', `${name}.json`), 'utf8')));
  const { apiUrl, relayUrl } = loam.endpoint();
  const secret = new Secret(hook.secret);

  async function git(args: readonly string[], input = ''): Promise<string> {
    const identity = ['-c', 'user.name=Bench', '-c', 'user.email=bench@loam.invalid'];
    const end = await run('git', [...identity, '-C', repository, ...args], { cwd: repository, input });
    if (end.code !== 0) throw new Error(`git ${args.join(' ')}: ${end.stderr}`);
    return end.stdout.trim();
  }

  async function tell(sha: string, door: Door): Promise<Told> {
    const body = JSON.stringify({
      ...{ repository: name, ref: 'refs/heads/main', before: noCommit, after: sha },
      ...{ pushed_at: new Date().toISOString(), message: `delivery ${randomUUID()}`, author: 'Bench' },
    });
    const headers = {
      'content-type': 'application/json',
      'x-loam-delivery': randomUUID(),
      'x-hub-signature-256': signBody(secret, body),
    };
    const url = new URL(`/v1/triggers/${hook.trigger}`, door === 'api' ? apiUrl : relayUrl);
    const sentAtMs = Date.now();
    const startedAt = performance.now();
    const answer = await call(url, { method: 'POST', headers }, body);
    return { sentAtMs, answerMs: performance.now() - startedAt, answer };
  }

  return {
    name,
    tell,
    async commits(plan, count) {
      const input = Array.from({ length: count }, (_, index) => {
        const head = ['commit refs/heads/main', `mark :${index + 1}`, 'committer Bench <bench@loam.invalid> now'];
        return [...head, ...data(`Bench ${randomUUID()}`), 'M 100644 inline loam.yaml', ...data(plan), ''].join('\n');
      });
      await git(['fast-import', '--quiet', '--force', '--date-format=now'], `${input.join('')}done\n`);
      return (await git(['rev-list', '--reverse', `--max-count=${count}`, 'refs/heads/main'])).split('\n');
    },
    async deliver(sha) {
      const { sentAtMs, answer: text } = await tell(sha, 'api');
      const answer = Answer.parse(JSON.parse(text));
      if (answer.result !== 'accepted' || answer.run === null) throw new Error(`the delivery was answered: ${text}`);
      return { sentAtMs, run: answer.run };
    },
  };
}

/** How fast-import takes a text. */
function data(text: string): readonly [string, string] {
  return [`data ${Buffer.byteLength(text)}`, text];
}

export interface Call {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
}

export async function call(url: URL, { method, headers }: Call, body = ''): Promise<string> {
  const response = await open(url, { method, headers }, body);
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
  if ((response.statusCode ?? 500) >= 300) throw new Error(`${method} ${url.pathname}: ${text.slice(0, 500)}`);
  return text;
}

export async function open(url: URL, { method, headers }: Call, body = ''): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request(url, { method, headers, agent }, resolve).on('error', reject).end(body);
  return promise;
}

export function closeConnections(): void {
  agent.destroy();
}
