const maxTextLength = 200;

/** One line without control characters: it is shown in terminals, and as a line of Temporal's lists. */
export function firstLine(text: string): string {
  const [line = ''] = text.trimStart().split(/[\r\n\u2028\u2029]/u, 1);
  return Array.from(line.replaceAll(/\p{Cc}|\p{Cf}|\p{Cs}/gu, ' ').trim())
    .slice(0, maxTextLength)
    .join('');
}
