// The Temporal UI shows the run's summary and details as markdown and lets HTML pass: foreign text must not make its reader's browser fetch anything.

/** Foreign text as plain text in one line of markdown, cut. Entities would be shown as they are written. */
export function plainText(text: string, maxCharacters: number): string {
  return oneLine(text, maxCharacters).replaceAll(/[\\<>[\]()*_|`#~&!]/g, String.raw`\$&`);
}

/** Foreign text for where no markdown is read: summaries of activities and timers, on the timeline. */
export function oneLine(text: string, maxCharacters: number): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cs}\s]+/gu, ' ').trim();
  return line.length <= maxCharacters ? line : `${line.slice(0, maxCharacters - 3)}...`;
}
