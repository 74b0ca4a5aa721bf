/** Names of config keys that differ between two releases; a gate shows names only, since values may be private. */
export interface ConfigChange {
  readonly configAdded: readonly string[];
  readonly configRemoved: readonly string[];
  readonly configChanged: readonly string[];
}

export function compareConfig(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): ConfigChange {
  const namesBefore = Object.keys(before).sort();
  const namesAfter = Object.keys(after).sort();
  return {
    configAdded: namesAfter.filter((name) => !Object.hasOwn(before, name)),
    configRemoved: namesBefore.filter((name) => !Object.hasOwn(after, name)),
    configChanged: namesAfter.filter((name) => Object.hasOwn(before, name) && before[name] !== after[name]),
  };
}
