// The Temporal UI shows summaries and details as markdown and lets HTML pass: an image in a commit message would make its reader's browser fetch.
const encoder = new TextEncoder();

/** Foreign text as plain text in markdown. Entities would be shown as they are written. */
export function escapeMarkdown(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cs}]/gu, ' ').replaceAll(/[\\<>[\]()*_|`#~&!]/g, String.raw`\$&`);
}

/** The longest beginning of the text that has at most so many bytes and ends with a whole character. */
export function cutBytes(text: string, maxBytes: number): string {
  const bytes = encoder.encode(text);
  if (bytes.length <= maxBytes) return text;
  // `encodeInto` stops before a character that does not fit.
  const { read } = encoder.encodeInto(text, new Uint8Array(maxBytes));
  return text.slice(0, read);
}
