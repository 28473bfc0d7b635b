/** What `portcullis run` is told, with its defaults in one place. */
import type { EnforcementMode, FailMode } from '../decision/reason.ts';

export const FAULTS = ['hang', 'crash', 'throw', 'oom'] as const;
export type Fault = (typeof FAULTS)[number];

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type RunOptions = {
  /** At least one; all must allow. */
  readonly policyFiles: readonly string[];
  readonly command: string;
  readonly args: readonly string[];
  readonly stateDir: string;
  readonly logFile: string;
  readonly logLevel: LogLevel;
  readonly serverName: string;
  readonly mode: EnforcementMode;
  readonly failMode: FailMode;
  /** Tool name → the fault that its evaluations rehearse. */
  readonly inject: Readonly<Record<string, Fault>>;
  readonly state: 'lmdb' | 'memory';
  readonly maxMessageBytes: number;
  readonly evaluationTimeoutMs: number;
  readonly upstreamTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly lanes: number | undefined;
};

export const RUN_DEFAULTS = {
  logLevel: 'info',
  state: 'lmdb',
  maxMessageBytes: 16 << 20,
  evaluationTimeoutMs: 50,
  upstreamTimeoutMs: 600_000,
  drainTimeoutMs: 10_000,
} as const;

/** Requests an upstream may owe one session at once. */
export const MAX_PENDING_REQUESTS = 10_000;

/** Each is a thread with its memory; more than processors help nobody. */
export const MAX_LANES = 64;
