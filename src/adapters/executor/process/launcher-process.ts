// The child of launcher.ts: starts shims and their networks, and ends when its parent does. What it has started as a shim lives on.
import type { Logger } from '../../../ports/logger.ts';
import { Secret } from '../../../ports/secret.ts';
import { launchJob } from './launch.ts';
import type { FromLauncher, NetworkMaker, PlainOrder, ToLauncher } from './launcher.ts';
import { NetworkPool } from './network.ts';

let networks: NetworkPool | undefined;

function send(message: FromLauncher): void {
  if (process.connected) process.send?.(message);
}

function warn(fields: Readonly<Record<string, unknown>>): void {
  send({ type: 'warning', reason: describe(fields['error']) });
}

/** An error does not travel, its reasons do. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${describe(error.cause)}`;
}

const logger: Logger = { debug: () => undefined, info: () => undefined, warn, error: warn };

function poolOf({ slirpPath, isolation }: NetworkMaker): NetworkPool {
  return (networks ??= new NetworkPool(slirpPath, isolation, logger));
}

async function launch(order: PlainOrder): Promise<boolean> {
  const { host, shim, folder, networkKind, job: plain, secrets: texts } = order;
  const secrets = Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, new Secret(text)]));
  const isPrepared = networkKind === 'prepared' && order.networks !== undefined;
  const network = isPrepared ? await poolOf(order.networks).take() : undefined;
  try {
    return await launchJob({ host, shim, job: { ...plain, secrets }, folder, network, networkKind });
  } finally {
    network?.release(); // the shim holds its own copy
  }
}

process.on('disconnect', () => process.exit(0));
process.on('message', (message: ToLauncher) => {
  if (message.type === 'prepare') {
    poolOf(message.networks).fill();
    return;
  }
  const { id } = message;
  launch(message.order).then(
    (created) => send({ type: 'launched', id, created }),
    (error: unknown) => send({ type: 'failed', id, reason: describe(error) }),
  );
});
