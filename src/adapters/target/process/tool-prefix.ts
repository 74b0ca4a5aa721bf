import { existsSync } from 'node:fs';
import path from 'node:path';

/** The folder of an installation of Node, such as `~/.nvm/versions/node/v24`: applications get it read-only. Nothing when it cannot be told from a home. */
export function nodePrefixes(nodePath: string): readonly string[] {
  const prefix = path.dirname(path.dirname(nodePath));
  const isInstallation =
    path.basename(path.dirname(nodePath)) === 'bin' && existsSync(path.join(prefix, 'lib', 'node_modules'));
  return isInstallation ? [prefix] : [];
}
