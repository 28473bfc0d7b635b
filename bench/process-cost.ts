/**
 * What a process costs, asked of the operating system from outside, so that asking costs the process nothing.
 * Linux: /proc. Elsewhere: `ps`, which knows no proportional set size.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

const HAS_PROC = existsSync('/proc/self/stat');
/** USER_HZ: 100 in every Linux ABI that Node runs on. */
const TICKS_PER_SECOND = 100;

/** User and system time of all threads since the process started, in microseconds; ended children are not counted. */
export function cpuUs(pid: number): number {
  if (HAS_PROC) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses and may hold spaces: count from behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[11]) + Number(fields[12]);
    return (ticks * 1_000_000) / TICKS_PER_SECOND;
  }
  const text = execFileSync('ps', ['-o', 'time=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  const [days, clock] = text.includes('-') ? text.split('-') : ['0', text];
  const seconds = (clock ?? '').split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  return (Number(days) * 86_400 + seconds) * 1_000_000;
}

export type Memory = {
  readonly rssKiB: number;
  /** Shared pages divided among those who share them; null where the system does not tell. */
  readonly pssKiB: number | null;
  readonly threads: number | null;
};

export function memoryOf(pid: number): Memory {
  if (!HAS_PROC) {
    const rss = execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' });
    return { rssKiB: Number(rss.trim()), pssKiB: null, threads: null };
  }
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  let pssKiB: number | null = null;
  try {
    pssKiB = kib(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'), 'Pss');
  } catch {
    // Older kernels have no roll-up; the resident set alone is reported then.
  }
  return {
    rssKiB: kib(status, 'VmRSS') ?? Number.NaN,
    pssKiB,
    threads: readdirSync(`/proc/${pid}/task`).length,
  };
}

function kib(text: string, name: string): number | null {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text);
  return match === null ? null : Number(match[1]);
}
