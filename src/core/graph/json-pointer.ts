function escape(part: string): string {
  return /[~/]/.test(part) ? part.replaceAll('~', '~0').replaceAll('/', '~1') : part;
}

/** JSON pointer (RFC 6901) of a place in the plan. */
export function jsonPointer(path: readonly PropertyKey[]): string {
  let pointer = '';
  for (const part of path) pointer += `/${escape(String(part))}`;
  return pointer;
}
