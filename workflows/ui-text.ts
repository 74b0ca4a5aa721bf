// The Temporal UI shows summaries and details as markdown and lets HTML pass: foreign text must not make its reader's browser fetch anything.
const entities: Readonly<Record<string, string>> = { '<': '&lt;', '>': '&gt;', '&': '&amp;' };

/** Foreign text as plain text in one line of markdown, cut. */
export function plainText(text: string, maxCharacters: number): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cs}\s]+/gu, ' ').trim();
  const short = line.length <= maxCharacters ? line : `${line.slice(0, maxCharacters - 3)}...`;
  return short.replaceAll(/[\\<>[\]()*_|`#~&!]/g, (character) => entities[character] ?? `\\${character}`);
}
