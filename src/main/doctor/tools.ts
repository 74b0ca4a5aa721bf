// The pinned programs: where they are, or where they would come from. Looks only; `npm start` fetches.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createProcessExecutor } from '../../adapters/executor/process/process-executor.ts';
import { findOnPath, findTool } from '../../adapters/tool/find-tool.ts';
import type { FoundTool } from '../../adapters/tool/find-tool.ts';
import { bubblewrap, temporalCli } from '../../adapters/tool/pins.ts';
import type { ToolPin } from '../../adapters/tool/pins.ts';
import { runProgram } from '../../adapters/tool/run-program.ts';
import type { Config } from '../../config.ts';
import { createLogger } from '../logger.ts';
import { describe, missing, ok, warning } from './check.ts';
import type { Check } from './check.ts';

export interface ToolCheck {
  readonly check: Check;
  readonly tool: FoundTool | undefined;
  /** True when the next start would fetch it. */
  readonly fetched: boolean;
}

const sources: Readonly<Record<FoundTool['source'], string>> = {
  variable: 'named by the configuration',
  path: 'on PATH',
  cache: 'in the cache',
  wheel: 'fetched',
  archive: 'fetched',
};
const timeoutMs = 10_000;

export async function checkTemporalCli(config: Config, hasPip: boolean): Promise<ToolCheck> {
  if (config.temporal.address !== undefined) {
    const found = `not needed: LOAM_TEMPORAL_ADDRESS names the server ${config.temporal.address}`;
    return { check: ok('temporal cli', found), tool: undefined, fetched: false };
  }
  return checkTool('temporal cli', temporalCli, { config, given: config.temporal.program, hasPip });
}

export async function checkBubblewrap(config: Config, hasPip: boolean): Promise<ToolCheck> {
  return checkTool('bubblewrap', bubblewrap, { config, given: config.jobs.bwrap, hasPip });
}

interface ToolQuestion {
  readonly config: Config;
  readonly given: string | undefined;
  readonly hasPip: boolean;
}

async function checkTool(name: string, pin: ToolPin, { config, given, hasPip }: ToolQuestion): Promise<ToolCheck> {
  const { searchPath, cacheDir } = config;
  try {
    const tool = await findTool(pin, { given, searchPath, cacheDir, mayFetch: false });
    const check = ok(name, `${tool.version} ${sources[tool.source]}: ${tool.path}`);
    return { check, tool, fetched: false };
  } catch (error) {
    if (given !== undefined) {
      const check = missing(name, describe(error), `correct or remove ${pin.variable}`);
      return { check, tool: undefined, fetched: false };
    }
    return { check: describeAbsent(name, pin, hasPip), tool: undefined, fetched: isPinned(pin) };
  }
}

function isPinned(pin: ToolPin): boolean {
  return pin.platforms[`${process.platform}-${process.arch}`] !== undefined;
}

function describeAbsent(name: string, pin: ToolPin, hasPip: boolean): Check {
  const { requirement, remedies, variable, version } = pin;
  const remedy = [`set ${variable}`, ...remedies].join('; or ');
  if (!isPinned(pin))
    return missing(name, `${version} is not here, and there is none to fetch for this system`, remedy);
  const hasArchive = pin.platforms[`${process.platform}-${process.arch}`]?.archive !== undefined;
  if (hasPip) return ok(name, `${version} would be fetched at the next start (${requirement}, by pip)`);
  if (hasArchive)
    return warning(name, `${version} is not here, and there is no pip: only the archive of its makers is left`, remedy);
  return warning(name, `${version} is not here, and there is no pip to fetch it`, remedy);
}

export async function checkSlirp(config: Config): Promise<Check> {
  const name = 'slirp4netns';
  const remedy = 'install slirp4netns (Debian, Ubuntu: apt-get install slirp4netns)';
  const program = await findOnPath(name, config.searchPath);
  if (program === undefined) {
    const found =
      'not on PATH: jobs with the network "egress" use the network of this machine, local applications only';
    return warning(name, found, remedy);
  }
  const { exitCode, output } = await runProgram(program, ['--version'], { timeoutMs });
  const version = /slirp4netns version (\S+)/.exec(output)?.[1];
  if (exitCode === 0 && version !== undefined) return ok(name, `${version} at ${program}`);
  return warning(name, `${program} does not run`, remedy);
}

/** Starts one to see: settings of the kernel, of AppArmor or of a container around us are too many to be guessed from. */
export async function checkSandbox(config: Config, bwrap: FoundTool | undefined): Promise<Check> {
  const name = 'sandbox';
  if (bwrap === undefined) {
    return warning(
      name,
      'not tried: bubblewrap is not here',
      'see bubblewrap; without it only local applications run, not isolated',
    );
  }
  const folder = await mkdtemp(path.join(tmpdir(), 'loam-doctor-'));
  try {
    const executor = await createProcessExecutor({
      jobsFolder: path.join(folder, 'jobs'),
      bwrapPath: bwrap.path,
      slirp4netnsPath: await findOnPath('slirp4netns', config.searchPath),
      hostId: config.hostId,
      logger: createLogger('doctor', 'error'),
      toolPath: config.searchPath,
    });
    const { limits } = executor;
    const isIsolated = !limits.some((limit) => limit.startsWith('not isolated'));
    if (!isIsolated)
      return warning(name, limits.join('; '), 'see "user namespaces"; without it only local applications run');
    return ok(name, limits.length === 0 ? 'starts here' : `starts here; what it does not do: ${limits.join('; ')}`);
  } catch (error) {
    return warning(
      name,
      `does not start here: ${describe(error)}`,
      'see "user namespaces"; without it only local applications run',
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
