const styles = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, cyan: 36 } as const;
export type Style = keyof typeof styles;

export type Paint = (style: Style, text: string) => string;

export function createPaint(hasColors: boolean): Paint {
  return (style, text) => (hasColors ? `\u001b[${styles[style]}m${text}\u001b[0m` : text);
}

const statusStyles: Readonly<Record<string, Style>> = {
  succeeded: 'green',
  live: 'green',
  failed: 'red',
  cancelled: 'yellow',
  paused: 'yellow',
  waiting: 'yellow',
  running: 'cyan',
  deploying: 'cyan',
};

export function paintStatus(paint: Paint, status: string, width = 0): string {
  return paint(statusStyles[status] ?? 'dim', status.padEnd(width));
}

/** Foreign text in one line: what it holds of control characters could drive the reader's terminal. */
export function oneLine(text: string, maxLength = 100): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, ' ');
  return line.length <= maxLength ? line : `${line.slice(0, maxLength - 1)}…`;
}

/** Columns as wide as their widest cell; the last one is not padded. `painted` gets the padded cell. A cell is one line, whoever wrote it. */
export function table(
  given: readonly (readonly string[])[],
  painted: (cell: string, column: number) => string = (cell) => cell,
): string {
  const rows = given.map((row) => row.map((cell) => oneLine(cell, 2_000)));
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => painted(column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0), column))
        .join('  '),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

/** `0.4s`, `12s`, `3m 05s`, `2h 10m`, `3d 4h`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)}s`;
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3_600)];
  if (minutes < 60) return `${minutes}m ${String(Math.floor(seconds % 60)).padStart(2, '0')}s`;
  if (hours < 48) return `${hours}h ${String(minutes % 60).padStart(2, '0')}m`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

export function took(startedAt: string | null, finishedAt: string | null, nowMs: number): string {
  if (startedAt === null) return '';
  return duration((finishedAt === null ? nowMs : Date.parse(finishedAt)) - Date.parse(startedAt));
}

export function ago(instant: string, nowMs: number): string {
  return `${duration(nowMs - Date.parse(instant))} ago`;
}

export function shortRef(ref: string): string {
  return ref.replace(/^refs\/(heads|tags)\//, '');
}
