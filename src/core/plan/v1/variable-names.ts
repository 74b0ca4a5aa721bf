const reserved: ReadonlySet<string> = new Set([
  ...['PATH', 'HOME', 'PWD', 'OLDPWD', 'SHELL', 'USER', 'LOGNAME', 'TMPDIR', 'CI'],
  ...['IFS', 'ENV', 'BASH_ENV', 'NODE_OPTIONS', 'GCONV_PATH', 'GLIBC_TUNABLES'],
]);
const reservedPrefixes = ['LOAM_', 'LD_', 'DYLD_', 'BASH_FUNC_'] as const;

/**
 * Variables that a plan may not set: those that Loam gives itself, and those that make a program load or run something else before it does its work, also
 * Loam's own shims around a job (I8).
 */
export function isReservedVariable(name: string): boolean {
  return reserved.has(name) || reservedPrefixes.some((prefix) => name.startsWith(prefix));
}

/** Variables of a deployed application have one more: the port is chosen at the start of each release. */
export function isReservedSetting(name: string): boolean {
  return name === 'PORT' || isReservedVariable(name);
}

/** Names under which people keep secrets. A literal there is worth a warning. */
export function looksSecret(name: string): boolean {
  return /(^|_)(password|passwd|secret|token|api_?key|private_?key|credentials?)$/i.test(name);
}
