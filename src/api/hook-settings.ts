import path from 'node:path';
import type { ApplicationName } from '../core/model/ids.ts';
import type { Secret } from '../ports/secret.ts';
import { writePrivateFile } from './private-file.ts';
import { shellQuote } from '../core/model/shell-quote.ts';

/** What the hook of an application reads; other programs that push deliveries may read it too. */
export interface HookSettings {
  readonly url: string;
  readonly application: string;
  readonly repository: string;
  readonly trigger: string;
  readonly secret: string;
}

export interface HookTarget {
  readonly url: string;
  readonly application: ApplicationName;
  readonly repository: string;
  readonly trigger: string;
  readonly secret: Secret;
}

/** Writes `<data>/hooks/<application>.json`, readable by its owner only, in one step. Returns its path. */
export async function writeHookSettings(dataFolder: string, target: HookTarget): Promise<string> {
  const settings: HookSettings = { ...target, secret: target.secret.reveal() };
  const file = path.join(dataFolder, 'hooks', `${target.application}.json`);
  await writePrivateFile(file, `${JSON.stringify(settings, undefined, 2)}\n`);
  return file;
}

/** The text of the post-receive hook. The push is done when it runs: nothing in it may fail it. */
export function makeHookScript(command: readonly string[], settingsFile: string): string {
  const [program = '', ...args] = command;
  const line = [program, ...args, settingsFile].map(shellQuote).join(' ');
  return `#!/bin/sh
# Installed by Loam ("loam app add"): tells Loam of the push and shows how its run goes.
if [ -x ${shellQuote(program)} ]; then
  ${line}
else
  echo 'loam: ${program.replaceAll("'", '')} is gone, so nobody was told of this push: run "loam app add" again' >&2
fi
exit 0
`;
}
