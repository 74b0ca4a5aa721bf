import { runFront } from '../adapters/front/run-front.ts';
import { untilAskedToEnd } from './lifetime.ts';
import { createLogger } from './logger.ts';

// node src/main/front.ts <data folder>: started detached by a target; outlives worker and supervisor.
const [data] = process.argv.slice(2);
const logger = createLogger('front', 'info');
if (data === undefined) throw new Error('front.ts needs the absolute path of the data folder');
const hasServed = await runFront({ data, logger, ended: untilAskedToEnd(), drainMs: 10_000 });
if (!hasServed) logger.warn({ data }, 'another front serves this data folder');
process.exit(hasServed ? 0 : 75);
