/**
 * The one place where a decision is made of what was found out about a call. Total: every reason has its case, and
 * every case that is not written out below is a denial.
 */
import type { Effect } from '../decision/decision.ts';
import type { RuleRef } from '../decision/obligation.ts';
import type { DenyReason, EnforcementMode, FailMode, ReasonCode } from '../decision/reason.ts';
import type { Denial } from '../decision/verdict.ts';

/** What stands against a call. */
export type Refusal = Denial & {
  readonly retryAtMs?: number;
  /** No mode lets the call through: there is nowhere to send it, or no room. */
  readonly final?: true;
};

export type Outcome = {
  effect: Effect;
  reason: ReasonCode;
  message: string;
  rule: RuleRef | undefined;
  wouldDeny: DenyReason | undefined;
  failure: DenyReason | undefined;
  retryAtMs: number | undefined;
};

/** `refusal` null: the policy allows the call and its limits are reserved. */
export function decide(refusal: Refusal | null, mode: EnforcementMode, failMode: FailMode): Outcome {
  const outcome: Outcome = {
    effect: 'deny',
    reason: 'evaluation_error',
    message: '',
    rule: undefined,
    wouldDeny: undefined,
    failure: undefined,
    retryAtMs: undefined,
  };
  if (refusal === null) {
    outcome.effect = 'allow';
    outcome.reason = 'allowed';
    outcome.message = 'allowed';
    return outcome;
  }
  outcome.reason = refusal.reason;
  outcome.message = messageOf(refusal);
  outcome.rule = refusal.rule;
  outcome.retryAtMs = refusal.retryAtMs;
  if (refusal.final === true) return outcome;
  switch (refusal.reason) {
    case 'evaluation_timeout':
    case 'evaluation_error':
    case 'evaluation_crash':
    case 'evaluation_out_of_memory':
      if (failMode === 'open') return failedOpen(outcome, refusal.reason);
      return mode === 'dry_run' ? rehearsed(outcome, refusal.reason) : outcome;
    case 'rule_denied':
    case 'tool_hidden':
    case 'tool_not_listed':
    case 'invalid_argument':
    case 'limit_reached':
    case 'state_unavailable':
    case 'quarantined':
    case 'overload':
      return mode === 'dry_run' ? rehearsed(outcome, refusal.reason) : outcome;
    case 'malformed_message':
    case 'unknown_method':
    case 'log_unavailable':
    case 'upstream_unavailable':
    case 'upstream_timeout':
    case 'daemon_unavailable':
    case 'cancelled':
      return outcome;
    default:
      return unknownReason(refusal.reason, outcome);
  }
}

function failedOpen(outcome: Outcome, failure: DenyReason): Outcome {
  outcome.effect = 'allow';
  outcome.reason = 'failed_open';
  outcome.failure = failure;
  outcome.message = `let through unjudged, since the fail mode is open: ${outcome.message}`;
  return outcome;
}

function rehearsed(outcome: Outcome, wouldDeny: DenyReason): Outcome {
  outcome.effect = 'allow';
  outcome.reason = 'allowed';
  outcome.wouldDeny = wouldDeny;
  outcome.message = `dry run, would be denied: ${outcome.message}`;
  return outcome;
}

/** FAIL-CLOSED: a reason that no case knows, from a lane that broke its word, denies under `evaluation_error`. */
function unknownReason(_never: never, outcome: Outcome): Outcome {
  outcome.reason = 'evaluation_error';
  return outcome;
}

/** INVARIANT: the rule's own words stand in the message, before what was wrong. */
function messageOf({ message, onDeny }: Refusal): string {
  return onDeny === undefined || message.startsWith(onDeny) ? message : `${onDeny} (${message})`;
}
