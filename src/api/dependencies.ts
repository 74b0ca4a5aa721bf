import type { BlobStore } from '../ports/blob-store.ts';
import type { Git } from '../ports/git.ts';
import type { LogStore } from '../ports/log-store.ts';
import type { Logger } from '../ports/logger.ts';
import type { RunEngine } from '../ports/run-engine.ts';
import type { Store } from '../ports/store.ts';
import type { TrustProvider } from '../ports/trust-provider.ts';
import type { Limits } from './guard.ts';
import type { Receiver } from './receive.ts';
import type { Links } from './view.ts';

export interface ApiDependencies {
  readonly store: Store;
  /** Only asked whether it answers: starting and cancelling runs is the dispatcher's. */
  readonly engine: Pick<RunEngine, 'isOpen'>;
  readonly git: Git;
  readonly blobs: BlobStore;
  /** Only asked whether what is registered can be right: tokens are drawn by workers. */
  readonly trustProviders: readonly Pick<TrustProvider, 'kind' | 'checkRegistration'>[];
  readonly logs: Pick<LogStore, 'read' | 'wait'>;
  readonly logger: Logger;
  readonly links: Links;
  /** Where this process listens: for hooks, which are on the same machine. */
  readonly ownUrl: () => string;
  /** Tells the dispatcher to look into the database now. */
  readonly wake: () => void;
  /** Absolute path. */
  readonly dataFolder: string;
  /** Program and arguments of the hook, which gets the path of its settings as the last one; absolute paths. */
  readonly hookCommand: readonly string[];
  /** Names other than the loopback's under which the API may be called. */
  readonly hosts: readonly string[];
  /** Puts a new key in front of those of this host. Undefined: other hosts may have key files of their own. */
  readonly addKey: (() => Promise<void>) | undefined;
  readonly limits: Limits;
  /** Page of the error codes that every problem links to. */
  readonly errorsDocument: string;
  readonly version: string;
  readonly jobCapacity: number;
}

/** What the routes get. */
export interface RouteDependencies extends ApiDependencies {
  readonly receive: Receiver;
  /** Tells the relay of this data folder which triggers there are. */
  readonly writeRelayTriggers: () => Promise<void>;
}
