import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import { DomainError } from '../../../core/errors.ts';
import type { Logger } from '../../../ports/logger.ts';
import type { Isolation } from './sandbox.ts';

/** A network namespace with a way out that does not lead to the host's loopback. It lives as long as somebody holds `holds`. */
export interface PreparedNetwork {
  /** Words before the sandbox's command line that let it start in there. */
  readonly enter: readonly string[];
  /** To be inherited by the shim: when the last copy closes, the namespace and its slirp4netns end. */
  readonly holds: readonly [Duplex, Duplex];
  /** False when one of its programs has ended, so that nothing gets out. */
  isAlive(): boolean;
  release(): void;
}

const readyMs = 5000;
const refillDelayMs = 25;
// The metadata service of a cloud gives the host's credentials to whoever asks from here; a route that leads nowhere answers at once.
const holderScript = 'ip route add unreachable 169.254.0.0/16 2>/dev/null; echo; exec cat >/dev/null';

/** Keeps one network ready: making one takes as long as a short job. What is not used ends with the worker. */
export class NetworkPool {
  readonly #slirpPath: string;
  readonly #isolation: Isolation;
  readonly #logger: Logger;
  #spare: Promise<PreparedNetwork> | undefined;

  constructor(slirpPath: string, isolation: Isolation, logger: Logger) {
    this.#slirpPath = slirpPath;
    this.#isolation = isolation;
    this.#logger = logger;
  }

  /** Throws `executor-unavailable` when slirp4netns does not start. */
  async take(): Promise<PreparedNetwork> {
    const spare = this.#spare;
    this.#spare = undefined;
    setTimeout(() => this.fill(), refillDelayMs).unref(); // not at once: the job that took this one starts just now
    const network = await (spare ?? this.#prepare());
    if (network.isAlive()) return network;
    network.release();
    return await this.#prepare();
  }

  fill(): void {
    if (this.#spare !== undefined) return;
    const spare = this.#prepare();
    this.#spare = spare;
    spare.catch((error: unknown) => {
      if (this.#spare === spare) this.#spare = undefined; // the next job tries again and reports
      this.#logger.warn({ error }, 'no network could be prepared for a job');
    });
  }

  async #prepare(): Promise<PreparedNetwork> {
    const signal = AbortSignal.timeout(readyMs);
    const holder = this.#spawnHolder();
    const children: ChildProcess[] = [holder];
    try {
      await firstByte(holder, 1, signal);
      const slirp = this.#spawnSlirp(holder.pid ?? 0);
      children.push(slirp);
      await firstByte(slirp, 3, signal);
      return this.#toNetwork(holder, slirp);
    } catch (error) {
      for (const child of children) child.kill('SIGKILL');
      throw new DomainError('executor-unavailable', 'slirp4netns did not make a network for the job', { cause: error });
    }
  }

  #spawnHolder(): ChildProcess {
    const namespaces = this.#isolation === 'other-user' ? ['-n'] : ['-U', '-r', '-n'];
    return spawnDetached('unshare', [...namespaces, 'sh', '-c', holderScript], ['pipe', 'pipe', 'ignore']);
  }

  #spawnSlirp(pid: number): ChildProcess {
    const target = this.#isolation === 'other-user' ? ['--netns-type=path', `/proc/${pid}/ns/net`] : [String(pid)];
    const hardening = ['--disable-host-loopback', '--enable-sandbox', '--enable-seccomp'];
    const options = ['--configure', '--mtu=65520', ...hardening, '--ready-fd=3', '--exit-fd=4', ...target, 'tap0'];
    return spawnDetached(this.#slirpPath, options, ['ignore', 'ignore', 'ignore', 'pipe', 'pipe']);
  }

  #toNetwork(holder: ChildProcess, slirp: ChildProcess): PreparedNetwork {
    const pid = holder.pid ?? 0;
    const holds = [holder.stdin as Duplex, slirp.stdio[4] as Duplex] as const;
    for (const stream of [holder.stdout, slirp.stdio[3]]) stream?.destroy();
    for (const child of [holder, slirp]) child.unref(); // a spare one must not keep the worker from ending
    for (const stream of holds) unref(stream);
    const enter =
      this.#isolation === 'other-user'
        ? [`--net=/proc/${pid}/ns/net`]
        : ['-U', '-n', '--preserve-credentials', '-t', String(pid)];
    return {
      enter: ['nsenter', ...enter],
      holds,
      isAlive: () => [holder, slirp].every(({ exitCode, signalCode }) => exitCode === null && signalCode === null),
      release: () => holds.forEach((stream) => stream.destroy()),
    };
  }
}

/** Why a job's network cannot be kept from the host's loopback here; undefined when it can. */
export function loopbackNameServer(): string | undefined {
  const server = /^nameserver\s+(127\.0\.0\.1|::1)\s*$/m.exec(readResolvConf())?.[1];
  return server === undefined
    ? undefined
    : `the name server is ${server}, and slirp4netns leads every port of its address there`;
}

function readResolvConf(): string {
  try {
    return readFileSync('/etc/resolv.conf', 'utf8');
  } catch {
    return '';
  }
}

function spawnDetached(program: string, options: readonly string[], stdio: ('pipe' | 'ignore')[]): ChildProcess {
  const child = spawn(program, options, { detached: true, stdio, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
  child.on('error', () => undefined); // shows as the missing first byte
  return child;
}

async function firstByte(child: ChildProcess, index: number, signal: AbortSignal): Promise<void> {
  const stream = child.stdio[index] as Readable;
  const ended = once(stream, 'close', { signal }).then(() => Promise.reject(new Error('it ended at once')));
  await Promise.race([
    once(stream, 'data', { signal }),
    ended,
    once(child, 'error', { signal }).then(([error]) => Promise.reject(error as Error)),
  ]);
}

function unref(stream: Duplex): void {
  if (stream instanceof Socket) stream.unref();
}
