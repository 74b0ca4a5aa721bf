import type { Config } from '../../config.ts';
import type { Check } from './check.ts';
import { checkDataFolder, checkDatabase, checkFreeSpace, checkKey } from './data-folder.ts';
import { checkExecutor } from './executor.ts';
import { checkDocker, checkGit, checkNode, checkPip, checkPlatform, checkUserNamespaces, findPip } from './machine.ts';
import { checkRunning } from './running.ts';
import { checkBubblewrap, checkSandbox, checkSlirp, checkTemporalCli } from './tools.ts';

/** Looks at everything that Loam needs, in the order in which a person mends it. Fetches nothing, starts nothing that stays. */
export async function examine(config: Config): Promise<readonly Check[]> {
  const running = checkRunning(config);
  const pip = await findPip(config);
  const hasPip = pip !== undefined;
  const [temporal, bwrap] = await Promise.all([checkTemporalCli(config, hasPip), checkBubblewrap(config, hasPip)]);
  return [
    checkPlatform(),
    ...(await Promise.all([checkNode(), checkGit(config)])),
    checkPip(pip, temporal.fetched || bwrap.fetched),
    temporal.check,
    bwrap.check,
    await checkSandbox(config, bwrap.tool),
    ...(await Promise.all([
      checkSlirp(config),
      checkUserNamespaces(),
      checkDocker(config),
      checkExecutor(config),
      checkDataFolder(config),
      checkFreeSpace(config),
      checkDatabase(config),
      checkKey(config),
    ])),
    ...(await running),
  ];
}
