function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}

function sortKeys(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sortKeys);
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  // Object.fromEntries keeps `__proto__` an own key; whole numbers come first whatever we do, in the same order for everybody.
  return Object.fromEntries(
    entries.sort(([one], [other]) => compare(one, other)).map(([key, one]) => [key, sortKeys(one)]),
  );
}

/**
 * The one way to write a plain value down: keys sorted by UTF-16 units, no spaces, absent values left out. Equal values have equal texts, and so equal digests (I4, I5).
 */
export function canonicalJson(value: object): string {
  return JSON.stringify(sortKeys(value));
}
