import { json } from 'node:stream/consumers';
import type { Logger } from '../../../../ports/logger.ts';
import { identifyProcess } from '../../../host/process-identity.ts';
import { holdName } from '../../../front/single-instance.ts';
import { Keeper } from './keeper.ts';
import { KeeperSpec } from './keeper-spec.ts';

export interface RunKeeperOptions {
  /** Absolute path of the replica's folder. */
  readonly replicaFolder: string;
  /** The spec as JSON. */
  readonly input: NodeJS.ReadableStream;
  readonly logger: Logger;
  /** Resolves when the replica shall end. */
  readonly ended: Promise<unknown>;
}

/** The keeper daemon, from start to end. False: another keeper has this replica. */
export async function runKeeper(options: RunKeeperOptions): Promise<boolean> {
  const { replicaFolder, logger } = options;
  const spec = KeeperSpec.safeParse(await json(options.input));
  // The parser's message would quote the input, which holds secrets.
  if (!spec.success) throw new Error('the keeper got a spec that it does not understand');
  const release = await holdName('keeper', replicaFolder);
  if (release === undefined) return false;
  const identity = identifyProcess(process.pid);
  if (identity === undefined) throw new Error('this system has no /proc');

  const controller = new AbortController();
  void options.ended.then(() => controller.abort());
  await new Keeper({ replicaFolder, spec: spec.data, process: identity, logger, signal: controller.signal }).run();
  release();
  return true;
}
