import { extname, join } from 'node:path';
import type { JobSpec } from '../../../ports/executor.ts';
import { shellQuote } from '../../../core/model/shell-quote.ts';

/** Where a sandbox has the tar with the tree. */
export const sourceInside = '/run/loam/source.tar';
export const forwardInside = '/run/loam/forward.mts';
/** What carries connections to the sockets of a job; run by Node inside the sandbox. */
export const forwardFile = join(import.meta.dirname, `forward${extname(import.meta.filename)}`);

export const maxProcesses = 4096;

/** All the variables of a job, its script among them; the script unsets that one first. */
export function jobEnvironment(job: JobSpec, base: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const secrets = Object.entries(job.secrets).map(([name, secret]) => [name, secret.reveal()] as const);
  return {
    LANG: 'C.UTF-8',
    CI: 'true',
    ...base,
    ...job.env,
    ...Object.fromEntries(secrets),
    LOAM_OUT: base['LOAM_OUT'] ?? '',
    LOAM_CMD: job.cmd,
  };
}

/**
 * What the shell does before the job's own script: limits that a process cannot raise again, the tree, the sockets. The script itself comes by `eval`, which
 * spares a process, and unsets its variable on the same line, so that the shell's messages name the right one.
 */
export function entryScript(job: JobSpec, source: string, forward: string): string {
  const sockets = job.sockets.map(
    ({ port, path }, index) => `${port} ${shellQuote(source === sourceInside ? socketInside(index) : path)}`,
  );
  return [
    'ulimit -c 0',
    `ulimit -u ${maxProcesses} 2>/dev/null || ulimit -p ${maxProcesses} 2>/dev/null`,
    ...(job.source === undefined
      ? []
      : [`tar -xf ${shellQuote(source)} || { echo 'loam: the source could not be unpacked' >&2; exit 125; }`]),
    // The forwarder closes its output once it listens: then the substitution is over, and it runs on.
    ...(sockets.length === 0 ? [] : [`: "$(${forward} ${sockets.join(' ')} &)"`]),
    'eval "unset LOAM_CMD; $LOAM_CMD"',
  ].join('\n');
}

export function socketInside(index: number): string {
  return `/run/loam/${index}.sock`;
}
