// I1: the delivery is on the disk, under its name, before the pusher is told that it is kept.
import { randomUUID } from 'node:crypto';
import { mkdir, open, rename } from 'node:fs/promises';
import path from 'node:path';
import type { SpooledDelivery } from '../api/spool.ts';

export interface DroppedDelivery {
  readonly trigger: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Names begin with the time, so that deliveries are received in the order of the pushes. */
export async function dropDelivery(folder: string, { trigger, headers, body }: DroppedDelivery): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const delivery: SpooledDelivery = {
    version: 1,
    trigger,
    headers: { ...headers },
    body: Buffer.from(body).toString('base64'),
  };
  const name = `${String(Date.now()).padStart(15, '0')}-${randomUUID()}.json`;
  const fresh = path.join(folder, `.${name}.tmp`);
  const handle = await open(fresh, 'wx', 0o600);
  try {
    await handle.writeFile(JSON.stringify(delivery));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(fresh, path.join(folder, name));
  const folderHandle = await open(folder, 'r');
  try {
    await folderHandle.sync(); // the name, too, survives a power cut
  } finally {
    await folderHandle.close();
  }
  return path.join(folder, name);
}
