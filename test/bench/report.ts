import { writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { isOver } from './figure.ts';
import type { Budget, Figure } from './figure.ts';

export interface Report {
  readonly command: string;
  readonly at: string;
  readonly machine: Readonly<Record<string, string | number>>;
  /** What the sandboxes of this machine do not do: it decides what a job costs. */
  readonly executorLimits: readonly string[];
  readonly figures: readonly (Figure & { readonly over: boolean })[];
}

export function makeReport(
  command: string,
  executorLimits: readonly string[],
  figures: readonly Figure[],
  loadBefore: number,
): Report {
  const machine = {
    system: `${process.platform} ${release()} ${process.arch}`,
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    node: process.versions.node,
    // Above zero: somebody else worked here too, and the figures are worse than the program.
    loadBefore,
  };
  const judged = figures.map((figure) => ({ ...figure, over: isOver(figure) }));
  return { command, at: new Date().toISOString(), machine, executorLimits, figures: judged };
}

export function loadNow(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100;
}

/** Prints the table; with `file`, writes the report there as JSON too. */
export async function publishReport(report: Report, file: string | undefined): Promise<void> {
  process.stdout.write(printReport(report));
  if (file !== undefined) await writeFile(file, `${JSON.stringify(report, undefined, 2)}\n`);
}

/** A table that is Markdown as well, for docs/benchmarks.md. */
function printReport({ command, machine, executorLimits, figures }: Report): string {
  const rows = [
    ['what', 'median', 'IQR', 'p99', 'n', 'budget', ''],
    ...figures.map((figure) => [
      figure.name,
      show(figure.median, figure.unit),
      `${plain(figure.low)}-${plain(figure.high)}`,
      figure.p99 === undefined ? '' : show(figure.p99, figure.unit),
      String(figure.samples),
      figure.budget === undefined ? '' : showBudget(figure.budget, figure.unit),
      figure.budget === undefined ? '' : figure.over ? 'OVER' : 'ok',
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`);
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  const facts = Object.entries(machine).map(([name, value]) => `${name} ${value}`);
  const head = [`$ ${command}`, facts.join(', '), ...executorLimits.map((limit) => `executor: ${limit}`)];
  return [...head, '', lines[0], rule, ...lines.slice(1), ''].join('\n');
}

function showBudget({ limit, from, atLeast }: Budget, unit: Figure['unit']): string {
  return `${atLeast === true ? 'at least ' : ''}${show(limit, unit)} (${from})`;
}

function show(value: number, unit: Figure['unit']): string {
  return unit === 'times' ? `${value.toFixed(2)} x` : `${plain(value)} ${unit}`;
}

function plain(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
