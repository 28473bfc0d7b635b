/**
 * The reason codes: what every decision, log line and metric says about why. One table; `docs/reasons.md` holds the
 * same codes for users, and a test compares the two.
 */

export const DENY_REASONS = [
  'rule_denied',
  'tool_hidden',
  'tool_not_listed',
  'invalid_argument',
  'limit_reached',
  'malformed_message',
  'unknown_method',
  'evaluation_timeout',
  'evaluation_error',
  'evaluation_crash',
  'evaluation_out_of_memory',
  'quarantined',
  'overload',
  'state_unavailable',
  'log_unavailable',
  'upstream_unavailable',
  'upstream_timeout',
  'daemon_unavailable',
  'cancelled',
] as const;

export const ALLOW_REASONS = ['allowed', 'failed_open'] as const;

export type DenyReason = (typeof DENY_REASONS)[number];
export type AllowReason = (typeof ALLOW_REASONS)[number];
export type ReasonCode = DenyReason | AllowReason;

/** How an evaluation can fail. A failed evaluation is a denial, unless the server's fail mode is `open`. */
export type EvaluationFailureReason =
  | 'evaluation_timeout'
  | 'evaluation_error'
  | 'evaluation_crash'
  | 'evaluation_out_of_memory';

/** `closed` denies what could not be evaluated; `open` (development only) lets it through, marked `failed_open`. */
export type FailMode = 'closed' | 'open';

/** `enforce` acts on decisions; `dry_run` records them and forwards every well-formed call. */
export type EnforcementMode = 'enforce' | 'dry_run';
