/** What a row found, and how it is printed. A missed target is said loudly and is no failure: this is a measurement. */
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import type { Spread } from './samples.ts';

export type Measurement = {
  readonly label: string;
  readonly perSecond?: number;
  readonly p50?: number;
  readonly p99?: number;
  readonly unit?: 'us' | 'ms';
  /** A figure that is neither a rate nor a latency, with its unit. */
  readonly figure?: string;
};

export type Target = {
  readonly what: string;
  readonly found: number;
  /** Lowest and highest ratio of a single round, where rounds were alternated. */
  readonly range?: readonly [number, number];
  readonly bound: '>=' | '<=';
  readonly target: number;
};

export type RowResult = {
  readonly name: string;
  readonly question: string;
  readonly measurements: readonly Measurement[];
  readonly targets: readonly Target[];
  readonly notes: readonly string[];
};

export type BenchOptions = { readonly quick: boolean };
export type Row = {
  readonly name: string;
  readonly question: string;
  readonly run: (options: BenchOptions) => Promise<Pick<RowResult, 'measurements' | 'targets' | 'notes'>>;
};

export type Machine = {
  readonly date: string;
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  readonly commit: string;
};

export function machine(): Machine {
  const processors = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    commit: commit(),
  };
}

function commit(): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync('git', args, { encoding: 'utf8', stdio: 'pipe' }).trim();
    return (
      git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '-uno') === '' ? '' : '+changes')
    );
  } catch {
    return 'unknown';
  }
}

export function latency(label: string, values: Spread, unit: 'us' | 'ms', perSecond?: number): Measurement {
  return { label, p50: values.p50, p99: values.p99, unit, ...(perSecond === undefined ? {} : { perSecond }) };
}

export function isMet(target: Target): boolean {
  // A figure that could not be taken is NaN, for which both comparisons are false: not met.
  return target.bound === '>=' ? target.found >= target.target : target.found <= target.target;
}

export function table(row: RowResult): string {
  const header = ['', 'per second', 'p50', 'p99', ''];
  const lines = row.measurements.map((m) => [
    m.label,
    m.perSecond === undefined ? '' : Math.round(m.perSecond).toLocaleString('en'),
    m.p50 === undefined ? '' : `${round(m.p50)} ${m.unit ?? ''}`,
    m.p99 === undefined ? '' : `${round(m.p99)} ${m.unit ?? ''}`,
    m.figure ?? '',
  ]);
  const widths = header.map((_, column) =>
    Math.max(...[header, ...lines].map((line) => (line[column] ?? '').length)),
  );
  const text = [header, ...lines].map((line) =>
    line
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  const targets = row.targets.map((target) => {
    const range =
      target.range === undefined ? '' : ` (rounds ${round(target.range[0])} to ${round(target.range[1])})`;
    return `${isMet(target) ? 'met   ' : 'MISSED'}  ${target.what}: ${round(target.found)}${range}, to reach ${target.bound} ${round(target.target)}`;
  });
  return [
    `== ${row.name}: ${row.question}`,
    ...text,
    ...targets,
    ...row.notes.map((note) => `note: ${note}`),
  ].join('\n');
}

export function round(value: number): string {
  if (!Number.isFinite(value)) return 'n/a';
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
