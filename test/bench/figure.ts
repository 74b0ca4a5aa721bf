/** What a value may be at most (with `atLeast`: must be at least), and where the limit comes from. */
export interface Budget {
  readonly limit: number;
  readonly from: string;
  readonly atLeast?: boolean;
}

export interface Figure {
  readonly name: string;
  readonly unit: 'ms' | 'times' | '1/s' | 'events' | 'bytes' | 'MiB' | 'MiB/s';
  readonly samples: number;
  readonly median: number;
  /** First and third quartile. */
  readonly low: number;
  readonly high: number;
  readonly p99?: number;
  readonly budget?: Budget;
  /** What is held against the budget. */
  readonly judged: 'median' | 'p99';
}

export interface FigureOptions {
  readonly unit?: Figure['unit'];
  readonly budget?: Budget;
  /** Of some hundred samples also the 99th percentile; a budget is then for that. */
  readonly withP99?: boolean;
}

export function makeFigure(name: string, values: readonly number[], options: FigureOptions = {}): Figure {
  const { unit = 'ms', budget, withP99 = false } = options;
  return {
    name,
    unit,
    samples: values.length,
    median: quantile(values, 0.5),
    low: quantile(values, 0.25),
    high: quantile(values, 0.75),
    ...(withP99 && { p99: quantile(values, 0.99) }),
    ...(budget !== undefined && { budget }),
    judged: withP99 ? 'p99' : 'median',
  };
}

export function isOver({ budget, judged, p99, median }: Figure): boolean {
  if (budget === undefined) return false;
  const value = judged === 'p99' ? (p99 ?? 0) : median;
  return budget.atLeast === true ? value < budget.limit : value > budget.limit;
}

/** Between the two nearest samples, as most programs do it. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * part;
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}
