/** A decision: what the gate answers to one tool call, with all that the decision log says about it. */
import type { RuleRef } from './obligation.ts';
import type { EnforcementMode, FailMode, ReasonCode } from './reason.ts';
import type { RequestId } from './verdict.ts';

export type Effect = 'allow' | 'deny';

export type Decision = {
  readonly id: string;
  readonly session: string;
  readonly server: string;
  /** null where the message could not be read far enough to name one. */
  readonly tool: string | null;
  readonly requestId: RequestId | null;
  readonly effect: Effect;
  readonly reason: ReasonCode;
  readonly message: string;
  readonly rule?: RuleRef;
  readonly policyDigest: string;
  readonly mode: EnforcementMode;
  readonly failMode: FailMode;
  /** `dry_run` only: what would have been decided had it been enforced. */
  readonly wouldDeny?: ReasonCode;
  /** The failure behind a `failed_open`. */
  readonly failure?: ReasonCode;
  /** A rehearsed fault (`--inject`) touched this decision. */
  readonly injected?: true;
  readonly reservation?: string;
  /** For `limit_reached`: when the window turns, in milliseconds since the epoch. */
  readonly retryAtMs?: number;
  readonly timeMs: number;
  /** Microseconds: waiting for a lane; running in it; from the message's arrival to the decision. */
  readonly queueUs: number;
  readonly evaluationUs: number;
  readonly totalUs: number;
};
