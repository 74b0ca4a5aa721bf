import { createParser } from 'eventsource-parser';
import type { GateView, RunEvent } from '../api/schema.ts';
import type { HookTarget } from './hook.ts';
import { open } from './plain-http.ts';
import { createProgress, plain, tellReconnect } from './progress.ts';
import { signWith } from './sign.ts';

const reconnectForMs = 15_000;
const reconnectPauseMs = 300;

type Target = Pick<HookTarget, 'url' | 'trigger' | 'secret'>;

/** Shows the pusher how the run goes, until it has ended or waits for a person. Ending this changes nothing for the run. */
export async function watchPush(
  target: Target,
  run: string,
  isOneOfSeveral: boolean,
  write: (line: string) => void,
): Promise<void> {
  const progress = createProgress(describeGate);
  const prefix = isOneOfSeveral ? `${run} ` : '  ';
  let lostAt: number | undefined;
  for (;;) {
    try {
      await readEvents(target, run, (event) => {
        lostAt = undefined;
        for (const line of progress.tell(event)) write(`${prefix}${line}`);
        return progress.end() !== undefined;
      });
    } catch {
      // The API may start anew just now; the run goes on meanwhile.
    }
    if (progress.end() !== undefined) return;
    lostAt ??= performance.now();
    if (performance.now() - lostAt > reconnectForMs) {
      write(`loam: lost sight of ${run}, which goes on; "loam show ${run}" shows it`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, reconnectPauseMs));
  }
}

/** The watcher has no token: who may push may see that run, and shows it by the same signature. */
async function readEvents(
  { url, trigger, secret }: Target,
  run: string,
  handle: (event: RunEvent) => boolean,
): Promise<void> {
  const route = `/v1/triggers/${trigger}/runs/${run.slice(run.indexOf('/') + 1)}/events`;
  const time = String(Date.now());
  const headers = {
    accept: 'text/event-stream',
    'x-loam-time': time,
    'x-hub-signature-256': signWith(secret, `${time}\n${route}`),
  };
  const seen = { hasEnded: false };
  const response = await open(`${url}${route}`, headers);
  const parser = createParser({
    onEvent: ({ data }) => {
      seen.hasEnded ||= handle(JSON.parse(data) as RunEvent);
    },
  });
  response.setEncoding('utf8');
  for await (const chunk of response) {
    parser.feed(String(chunk));
    if (seen.hasEnded) break; // ends the connection too
  }
}

function describeGate(view: GateView): readonly string[] {
  const { gate, environment, run, preview } = view;
  const reconnect = tellReconnect(view);
  if (reconnect !== undefined) return reconnect;
  const from = preview.fromRelease === null ? 'nothing yet' : `release ${preview.fromRelease}`;
  const commits = preview.commits.slice(0, 5).map((one) => `    ${one.sha.slice(0, 7)} ${plain(one.subject)}`);
  return [
    `${gate} waits for a person: ${environment}, from ${from} to ${preview.toCommit.slice(0, 7)}`,
    ...commits,
    `  look     loam show ${run}`,
    `  approve  loam approve ${run} ${gate}`,
  ];
}
