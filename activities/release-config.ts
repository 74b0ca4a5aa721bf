// Keeps I5 and I7: what a release runs with is written down once, secrets by name only, and read from there when it is started again.
import { DomainError } from '../src/core/errors.ts';
import type { EnvironmentName } from '../src/core/model/ids.ts';
import type { CompiledPlan, Setting } from '../src/core/plan/plan.ts';
import type { Template } from '../src/core/template/template.ts';
import type { Secret } from '../src/ports/secret.ts';
import type { Environment } from '../src/ports/store.ts';

const secretPrefix = 'secret:';
const literalPrefix = 'literal:';

/** As stored in a release's row: a literal as it is, a secret as `secret:NAME`, and a literal that looks like either behind `literal:`. */
export type ReleaseConfig = Readonly<Record<string, string>>;

/** The narrower place wins: template, then the plan's environment, then the settings of the registered environment. */
export function makeReleaseConfig(template: Template, plan: CompiledPlan, environment: Environment): ReleaseConfig {
  const planned = findPlanEnvironment(plan, environment.name)?.config ?? {};
  const settings: Record<string, Setting> = { ...template.config, ...planned };
  for (const [name, literal] of Object.entries(environment.config)) settings[name] = { literal };
  return Object.fromEntries(Object.entries(settings).map(([name, setting]) => [name, encode(setting)]));
}

export function findPlanEnvironment(
  plan: CompiledPlan,
  name: EnvironmentName,
): CompiledPlan['environments'][number] | undefined {
  return plan.environments.find((one) => one.name === name);
}

/** What the service says about an environment counts before what the plan says. */
export function trustOf(
  environment: Environment | undefined,
  plan: CompiledPlan,
  name: EnvironmentName,
): string | undefined {
  return environment?.trust ?? findPlanEnvironment(plan, name)?.trust;
}

function encode(setting: Setting): string {
  if ('secret' in setting) return `${secretPrefix}${setting.secret}`;
  const isAmbiguous = setting.literal.startsWith(secretPrefix) || setting.literal.startsWith(literalPrefix);
  return isAmbiguous ? `${literalPrefix}${setting.literal}` : setting.literal;
}

export interface ResolvedConfig {
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, Secret>>;
}

/** Throws `secret-missing` with every name that does not exist. */
export function resolveReleaseConfig(config: ReleaseConfig, visible: ReadonlyMap<string, Secret>): ResolvedConfig {
  const env: Record<string, string> = {};
  const secrets: Record<string, Secret> = {};
  const missing: string[] = [];
  for (const [name, text] of Object.entries(config)) {
    if (!text.startsWith(secretPrefix)) {
      env[name] = text.startsWith(literalPrefix) ? text.slice(literalPrefix.length) : text;
      continue;
    }
    const secretName = text.slice(secretPrefix.length);
    const secret = visible.get(secretName);
    if (secret === undefined) missing.push(secretName);
    else secrets[name] = secret;
  }
  if (missing.length > 0) {
    throw new DomainError('secret-missing', `missing secrets: ${missing.join(', ')}; set each with: loam secret put`);
  }
  return { env, secrets };
}
