import { execFileSync } from 'node:child_process';
import { basename } from 'node:path';
import { DomainError } from '../../../core/errors.ts';
import { forwardFile, forwardInside } from '../job/entry-script.ts';

interface Forwarder {
  readonly command: string;
  readonly files: readonly { readonly path: string; readonly inside: string }[];
}

let found: Forwarder | undefined;

/** Loam's own Node with the libraries that it is linked to: the image of a job need not have one, or the same C library. */
export function forwarder(): Forwarder {
  return (found ??= findForwarder());
}

function findForwarder(): Forwarder {
  const paths = [...readLinked().matchAll(/(\/\S+) \(0x/g)].flatMap(([, path]) => path ?? []);
  const loader = paths.find((path) => /\/ld-[^/]+$/.test(path));
  if (loader === undefined)
    throw new DomainError(
      'executor-unavailable',
      `"ldd ${process.execPath}" names no loader: jobs cannot be given a socket`,
    );
  const inside = (path: string): string => `/run/loam/lib/${basename(path)}`;
  return {
    command: `${inside(loader)} --library-path /run/loam/lib /run/loam/node ${forwardInside}`,
    files: [
      ...paths.map((path) => ({ path, inside: inside(path) })),
      { path: process.execPath, inside: '/run/loam/node' },
      { path: forwardFile, inside: forwardInside },
    ],
  };
}

function readLinked(): string {
  try {
    return execFileSync('ldd', [process.execPath], { timeout: 10_000 }).toString();
  } catch (cause) {
    throw new DomainError('executor-unavailable', 'the program ldd does not run: jobs cannot be given a socket', {
      cause,
    });
  }
}
