// Whatever the command line prints was written by others: jobs, commits, people. What of it could drive a terminal is made visible instead; of all the
// sequences that terminals obey only colours pass, and only where colours are shown.

/** Controls (of them tab and line feed pass), and marks that turn the direction of the text after them. */
const control = /[^\P{Cc}\t]|\p{Bidi_Control}/gu;
const escape = '\u001b';
const color = new RegExp(`(${escape}\\[[0-9;:]{0,32}m)`, 'g');
const reset = `${escape}[0m`;
/** What may become a colour, or a line break of two characters, once the next chunk is here. */
const unfinished = new RegExp(`(?:${escape}(?:\\[[0-9;:]{0,32})?|\r)$`);

/** A line that is written over itself (a progress bar) becomes lines, so that nothing is hidden. */
export function splitLines(text: string): string[] {
  return text.split(/\r\n|[\r\n]/);
}

/** A whole text, ready for a terminal or a file. Colours end with their line: they cannot paint what follows. */
export function cleanText(text: string, hasColors: boolean): string {
  return splitLines(text)
    .map(hasColors ? cleanColored : cleanPlain)
    .join('\n');
}

/** The end of a chunk that must wait for the next one. */
export function unfinishedEnd(text: string): string {
  return unfinished.exec(text)?.[0] ?? '';
}

function cleanColored(line: string): string {
  const parts = line.split(color);
  // Every second part is what the pattern caught.
  const cleaned = parts.map((part, index) => (index % 2 === 1 ? part : makeVisible(part))).join('');
  return parts.length === 1 || parts.at(-2) === reset ? cleaned : `${cleaned}${reset}`;
}

function cleanPlain(line: string): string {
  return makeVisible(line.replaceAll(color, ''));
}

function makeVisible(text: string): string {
  return text.replaceAll(control, (found) => {
    const code = found.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : '\ufffd';
  });
}

/** One line of JSON in which also those controls are escaped that JSON lets stand. */
export function jsonLine(document: unknown): string {
  const text = JSON.stringify(document).replaceAll(/[\u007f-\u009f]|\p{Bidi_Control}/gu, (found) => {
    return `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return `${text}\n`;
}
