// A process of its own that uses the store, for tests of several at once: node store-process.ts <file or URL> <command> <name> <count>
import process from 'node:process';
import { createSecretBox } from '../../../src/adapters/secret/secret-box.ts';
import { createStore } from '../../../src/adapters/store/store.ts';
import { Secret } from '../../../src/ports/secret.ts';
import type { Store } from '../../../src/ports/store.ts';
import { makeDelivery, makePush, makeSha, runId, task } from './store-builders.ts';

const [, , place = '', command = '', name = '', count = '1'] = process.argv;

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Each delivery in turn; its answer is said after it is durable. */
async function receive(store: Store): Promise<void> {
  for (let at = 0; at < Number(count); at += 1) {
    const push = makePush({ before: undefined, after: makeSha((at % 16).toString(16)) });
    say({ at, answer: await store.deliveries.receive(makeDelivery(`d${String(at)}`, { push })) });
  }
}

/** The same attempts as every other process: who ends one? */
async function work(store: Store): Promise<void> {
  for (let attempt = 1; attempt <= Number(count); attempt += 1) {
    const key = { run: runId(1), task: task.test, attempt };
    const begun = await store.tasks.begin(key, name);
    if (begun.type !== 'begun') continue;
    const outcome = { status: 'failed', reason: name } as const;
    const end = await store.tasks.finish(key, begun.owner, { outcome, outputs: {}, log: undefined });
    say({ attempt, owner: begun.owner, ended: end?.reason });
  }
}

const store = await createStore({
  ...(place.startsWith('postgresql:') ? { url: new Secret(place) } : { file: place }),
  secretBox: createSecretBox({ key: new Uint8Array(32).fill(7) }),
  pickFrontPort: () => Promise.resolve(7_800),
});
if (command === 'receive') await receive(store);
if (command === 'work') await work(store);
say({ done: true });
await store.close();
