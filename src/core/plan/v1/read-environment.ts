import type { z } from 'zod';
import { jsonPointer } from '../../graph/json-pointer.ts';
import { nearestName, quote } from '../../graph/nearest-name.ts';
import { isEnvironmentName } from '../../model/ids.ts';
import type { PlanEnvironment } from '../plan.ts';
import type { PlanReader } from './reader.ts';
import { environment } from './schema.ts';
import { asWritten } from './values.ts';
import { looksSecret } from './variable-names.ts';

type Written = z.infer<typeof environment>;
type OwnSettings = Partial<Pick<PlanEnvironment, 'compute' | 'trust'>> & Pick<PlanEnvironment, 'config' | 'settings'>;

const keys = Object.keys(environment.shape);

/** A literal token is dropped: what is compiled travels and is stored (I7). */
function warnOfToken(reader: PlanReader, path: readonly string[], key: string): void {
  const remedy = 'Register it with `loam trust` and write `trust: name`. The value is dropped.';
  reader.report('literal-secret', [...path, key], `${quote(key)} stands in the plan`, remedy);
}

function readSetting(
  reader: PlanReader,
  path: readonly string[],
  key: string,
  value: string | number | boolean,
): string | undefined {
  if (looksSecret(key)) {
    warnOfToken(reader, path, key);
    return undefined;
  }
  const near = nearestName(key, keys);
  if (near !== undefined) {
    const message = `${quote(key)} is taken as a setting of the target`;
    reader.report('setting-near-key', [...path, key], message, `Did you mean ${quote(near)}?`);
  }
  return asWritten(reader.nodes, jsonPointer([...path, key]), value);
}

function readOwn(reader: PlanReader, path: readonly string[], written: Written): OwnSettings {
  const { compute, trust, trust_token, config, ...others } = written;
  if (trust_token !== undefined) warnOfToken(reader, path, 'trust_token');
  const settings: Record<string, string> = {};
  for (const [key, value] of Object.entries(others)) {
    const setting = readSetting(reader, path, key, value);
    if (setting !== undefined) settings[key] = setting;
  }
  return {
    ...(compute === undefined ? {} : { compute }),
    ...(trust === undefined ? {} : { trust }),
    config: reader.settings([...path, 'config'], config),
    settings,
  };
}

function checkEnvironment(reader: PlanReader, name: string, raw: unknown): OwnSettings | undefined {
  const path = ['environments', name];
  if (!isEnvironmentName(name)) {
    const remedy = 'Write lower-case letters, digits and hyphens, at most 40, beginning with a letter.';
    reader.report('name-invalid', path, `${quote(name)} is not an allowed name of an environment`, remedy);
    return undefined;
  }
  const written = reader.check({ path, title: `environment ${quote(name)}`, keys }, environment, raw ?? {});
  return written === undefined ? undefined : readOwn(reader, path, written);
}

const nothing: OwnSettings = { config: {}, settings: {} };

/** All environments but `default`, which is what the others inherit from, key by key. */
export function readEnvironments(
  reader: PlanReader,
  raw: Readonly<Record<string, unknown>>,
): { readonly environments: readonly PlanEnvironment[]; readonly broken: ReadonlySet<string> } {
  const base = Object.hasOwn(raw, 'default')
    ? (checkEnvironment(reader, 'default', raw['default']) ?? nothing)
    : nothing;
  const environments: PlanEnvironment[] = [];
  const broken = new Set<string>();
  for (const [name, one] of Object.entries(raw)) {
    if (name === 'default') continue;
    const own = checkEnvironment(reader, name, one);
    if (own === undefined || !isEnvironmentName(name)) {
      broken.add(name);
      continue;
    }
    environments.push({
      name,
      compute: own.compute ?? base.compute ?? 'process',
      config: { ...base.config, ...own.config },
      trust: own.trust ?? base.trust,
      settings: { ...base.settings, ...own.settings },
    });
  }
  return { environments, broken };
}
