import { runKeeper } from '../adapters/target/process/keeper/run-keeper.ts';
import { untilAskedToEnd } from './lifetime.ts';
import { createLogger } from './logger.ts';

// node src/main/keeper.ts <replica folder>, the spec on standard input: started detached by the target `process`; outlives worker and supervisor.
const [replicaFolder] = process.argv.slice(2);
const logger = createLogger('keeper', 'info');
if (replicaFolder === undefined) throw new Error('keeper.ts needs the absolute path of the folder of its replica');
const hasKept = await runKeeper({ replicaFolder, input: process.stdin, logger, ended: untilAskedToEnd() });
if (!hasKept) logger.warn({ replicaFolder }, 'another keeper has this replica');
process.exit(hasKept ? 0 : 75);
