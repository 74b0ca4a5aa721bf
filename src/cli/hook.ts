// I1: a push that is told to nobody is kept in the spool. The push itself is done: nothing here may fail it.
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { TriggerAnswer } from '../api/delivery-view.ts';
import type { HookSettings } from '../api/hook-settings.ts';
import { watchPush } from './hook-watch.ts';
import { dropDelivery } from './spool-drop.ts';
import { post } from './plain-http.ts';
import { plain } from './progress.ts';
import { signWith } from './sign.ts';

export interface HookContext {
  readonly settingsFile: string;
  /** Lines `old new ref`, as git gives them. */
  readonly input: AsyncIterable<Uint8Array>;
  /** Git shows each line to the pusher as `remote: ...`. */
  readonly write: (line: string) => void;
  readonly answerTimeoutMs?: number;
}

interface Update {
  readonly before: string;
  readonly after: string;
  readonly ref: string;
}

/** Where to tell of a push, and how to sign. */
export interface HookTarget extends HookSettings {
  /** Where the API is now; it may have moved since the hook was installed. */
  readonly url: string;
  readonly dataFolder: string;
}

const zeros = '0'.repeat(40);

export async function runHook(context: HookContext): Promise<void> {
  const { write } = context;
  try {
    const updates = await readUpdates(context.input);
    if (updates.length === 0) return;
    const target = readTarget(context.settingsFile);
    const accepted: string[] = [];
    for (const update of updates) {
      const run = await tell(context, target, update);
      if (run !== undefined) accepted.push(run);
    }
    await Promise.all(accepted.map((run) => watchPush(target, run, accepted.length > 1, write)));
  } catch (error) {
    write(`loam: ${error instanceof Error ? plain(error.message) : 'something went wrong'}; the push itself is fine`);
  }
}

async function readUpdates(input: AsyncIterable<Uint8Array>): Promise<readonly Update[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of input) chunks.push(chunk);
  const lines = Buffer.concat(chunks).toString('utf8').split('\n');
  return lines.flatMap((line) => {
    const [before, after, ref] = line.trim().split(' ');
    return before === undefined || after === undefined || ref === undefined ? [] : [{ before, after, ref }];
  });
}

function readTarget(settingsFile: string): HookTarget {
  let settings: HookSettings;
  try {
    settings = JSON.parse(readFileSync(settingsFile, 'utf8')) as HookSettings;
  } catch {
    throw new Error(`nobody was told of this push: ${settingsFile} cannot be read; run "loam app add" again`);
  }
  const dataFolder = path.dirname(path.dirname(path.resolve(settingsFile)));
  return { ...settings, dataFolder, url: readApiUrl(dataFolder) ?? settings.url };
}

function readApiUrl(dataFolder: string): string | undefined {
  try {
    const endpoint = JSON.parse(readFileSync(path.join(dataFolder, 'endpoint.json'), 'utf8')) as { apiUrl?: unknown };
    return typeof endpoint.apiUrl === 'string' ? endpoint.apiUrl : undefined;
  } catch {
    return undefined;
  }
}

/** Tells the door of one ref, else the spool. Returns the run to watch. */
async function tell(
  { write, answerTimeoutMs = 3_000 }: HookContext,
  target: HookTarget,
  update: Update,
): Promise<string | undefined> {
  const body = makeBody(target, update);
  const headers = {
    'content-type': 'application/json',
    'x-loam-source': 'hook',
    'x-loam-delivery': randomUUID(),
    'x-hub-signature-256': signWith(target.secret, body),
  };
  const answer = await post(`${target.url}/v1/triggers/${target.trigger}`, headers, body, answerTimeoutMs).catch(
    () => undefined,
  );
  const isAway = answer === undefined || answer.status >= 500 || answer.status === 429;
  if (!isAway) return report(write, answer.status, answer.text);
  await dropDelivery(path.join(target.dataFolder, 'spool'), { trigger: target.trigger, headers, body });
  write(
    `loam: nobody answers at ${target.url}; the push of ${plain(update.ref)} is kept and starts its run when Loam is up`,
  );
  return undefined;
}

function report(write: (line: string) => void, status: number, text: string): string | undefined {
  if (status >= 400) {
    write(`loam: the push was refused by Loam: ${readDetail(text) ?? `status ${status}`}`);
    return undefined;
  }
  const { result, run, reason, temporalUrl, url } = JSON.parse(text) as TriggerAnswer;
  if (run === null) {
    write(`loam: no run: ${plain(reason ?? result)}`);
    return undefined;
  }
  write(
    `loam: ${result === 'accepted' ? 'run' : 'this push has its run already:'} ${run}  ${temporalUrl ?? url ?? ''}`,
  );
  return result === 'accepted' ? run : undefined;
}

function readDetail(text: string): string | undefined {
  try {
    const { detail } = JSON.parse(text) as { readonly detail?: unknown };
    return typeof detail === 'string' ? plain(detail) : undefined;
  } catch {
    return undefined;
  }
}

function makeBody(target: HookTarget, { before, after, ref }: Update): string {
  const [message, author] = after === zeros ? [null, null] : readCommit(after);
  return JSON.stringify({
    repository: target.repository,
    ref,
    before,
    after,
    pushed_at: new Date().toISOString(),
    message,
    author,
  });
}

/** Git runs a hook inside the repository. */
function readCommit(sha: string): readonly [string | null, string | null] {
  try {
    const output = execFileSync('git', ['log', '-1', '--no-show-signature', '--format=%s%x00%an', sha, '--'], {
      encoding: 'utf8',
      timeout: 2_000,
      maxBuffer: 1_048_576,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [message = '', author = ''] = output.trimEnd().split('\0');
    return [message.slice(0, 500), author.slice(0, 200)];
  } catch {
    return [null, null]; // only for people; the run reads the commit itself
  }
}
