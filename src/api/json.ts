import { DomainError } from '../core/errors.ts';

const maxDepth = 64;

/**
 * JSON of a request (I10): valid UTF-8, bounded depth. The depth is counted before parsing: later walks over the value are recursive, and a body of a
 * million brackets must not reach them.
 */
export function parseJson(body: Buffer): unknown {
  const text = decodeUtf8(body);
  if (nestsDeeper(text, maxDepth))
    throw new DomainError('input-invalid', `The body nests deeper than ${maxDepth} levels`);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new DomainError('input-invalid', 'The body is not JSON', { cause: error });
  }
}

function decodeUtf8(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch (error) {
    throw new DomainError('input-invalid', 'The body is not UTF-8', { cause: error });
  }
}

function nestsDeeper(text: string, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (inString) {
      if (character === '\\') at += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else depth += step(character);
    if (depth > limit) return true;
  }
  return false;
}

function step(character: string | undefined): number {
  if (character === '{' || character === '[') return 1;
  return character === '}' || character === ']' ? -1 : 0;
}
