import type { Grant } from '../core/model/access.ts';
import type { ApplicationName, EnvironmentName } from '../core/model/ids.ts';
import type { WithdrawnState } from '../core/gate/reconnect.ts';
import type { Secret } from './secret.ts';

export interface Trust {
  readonly name: string;
  readonly provider: 'exec' | 'static';
  /** Provider's settings, no secret among them. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly state: 'valid' | 'expiring' | 'provider-unreachable' | 'unused' | WithdrawnState;
  readonly reason: string | undefined;
  /** 0 before the first token. */
  readonly generation: number;
  readonly expiresAtMs: number | undefined;
}

export interface TrustStore {
  /**
   * Registers, changes or reconnects: other settings, a credential, or a trust that is not good any more drop the token. Without `credential` the one that
   * is there stays.
   */
  put(trust: Pick<Trust, 'name' | 'provider' | 'settings'>, credential?: Secret): Promise<Trust>;
  /** The secret that a person handed over with the registration: the token itself of `static`. */
  credential(name: string): Promise<Secret | undefined>;
  get(name: string): Promise<Trust | undefined>;
  list(): Promise<readonly Trust[]>;
  /** The newest token and its generation. */
  token(
    name: string,
  ): Promise<
    | { readonly token: Secret; readonly generation: number; readonly drawnAtMs: number; readonly expiresAtMs: number }
    | undefined
  >;
  /** The right to renew, for `forMs`; false while another owner has it. The same owner extends. */
  lease(name: string, owner: string, forMs: number): Promise<boolean>;
  unlease(name: string, owner: string): Promise<void>;
  /** Only with the lease; `after` is the generation it replaces. False when somebody was faster. */
  saveToken(name: string, owner: string, after: number, token: Secret, expiresAtMs: number): Promise<boolean>;
  setState(name: string, state: Trust['state'], reason: string | undefined): Promise<void>;
  /** Forgets tokens that have expired: nobody kept them. Answers how many. */
  dropExpired(): Promise<number>;
}

export interface SecretStore {
  /** Secrets of an application, used by jobs and releases by name. `environment` undefined: all environments; the narrower one wins. */
  put(
    application: ApplicationName,
    environment: EnvironmentName | undefined,
    name: string,
    value: Secret,
  ): Promise<void>;
  remove(application: ApplicationName, environment: EnvironmentName | undefined, name: string): Promise<boolean>;
  names(application: ApplicationName): Promise<
    readonly {
      readonly environment: EnvironmentName | undefined;
      readonly name: string;
      readonly changedAtMs: number;
    }[]
  >;
  /** All that are visible there. Jobs see (application, undefined) only. */
  values(application: ApplicationName, environment: EnvironmentName | undefined): Promise<ReadonlyMap<string, Secret>>;
}

export interface Token {
  readonly name: string;
  /** What it may do, and where; at least one. */
  readonly grants: readonly Grant[];
  readonly createdAtMs: number;
  /** Undefined: until it is removed. */
  readonly expiresAtMs: number | undefined;
}

export interface TokenStore {
  /** Only a hash is kept. A repeated name replaces the token. */
  put(token: Pick<Token, 'name' | 'grants' | 'expiresAtMs'>, secret: Secret): Promise<Token>;
  /** Undefined for one that was removed, has expired, or never was. */
  authenticate(secret: Secret): Promise<Token | undefined>;
  list(): Promise<readonly Token[]>;
  remove(name: string): Promise<boolean>;
}
