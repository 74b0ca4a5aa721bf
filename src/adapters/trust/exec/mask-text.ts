const redacted = '[redacted]';
const shownLength = 400;

/**
 * What a token program wrote on standard error, fit for a person to read: a token that it printed there must not get into logs or histories (I7), nor control
 * characters into a terminal. `known` is masked wherever it stands; besides, all that looks like a credential.
 */
export function maskText(text: string, known: readonly string[]): string {
  const withoutKnown = known
    .filter((value) => value.length >= 4)
    .toSorted((one, other) => other.length - one.length)
    .reduce((masking, value) => masking.replaceAll(value, redacted), text);
  const masked = withoutKnown
    .replace(/\b(bearer|basic)\s+\S+/gi, `$1 ${redacted}`)
    .replace(/((?:token|secret|passw(?:or)?d|credential|api[_-]?key)["']?\s*[:=]\s*["']?)[^\s"',}]+/gi, `$1${redacted}`)
    .replace(/[A-Za-z0-9_~+=.-]{20,}/g, (word) => (/\d/.test(word) && /[A-Za-z]/.test(word) ? redacted : word))
    // eslint-disable-next-line no-control-regex -- control characters are what is removed
    .replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
    .trim();
  return masked.length > shownLength ? `... ${masked.slice(-shownLength)}` : masked;
}
