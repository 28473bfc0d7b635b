/**
 * What the gate's driver needs from other rooms: an evaluator, counters, a decision log. The rooms implement these;
 * the daemon joins them. Nothing here throws for what can happen to a call: outcomes are returned.
 */
import type { Decision } from '../decision/decision.ts';
import type { Culprit, Obligation, RuleRef } from '../decision/obligation.ts';
import type { EvaluationFailureReason } from '../decision/reason.ts';
import type { SessionDescription } from '../decision/session-facts.ts';
import type { ServerReading, Verdict } from '../decision/verdict.ts';

/** A policy as every lane holds it. The handle is a small positive integer, never used again in this process. */
export type PolicyInForce = { readonly handle: number; readonly digest: string };

export type JobKind =
  /** A message from the agent: read strictly and, if it is a tool call, judge it. */
  | 'judge'
  /** A message from the agent: read only. Asked for after a failed evaluation, to know whom to answer. */
  | 'read'
  /** A message from the upstream server: read, and find the tools to cut from it. */
  | 'server';

export type Job = {
  readonly kind: JobKind;
  /** Exactly one message, without its line terminator. The pool copies; the caller keeps the bytes unchanged until the outcome. */
  readonly bytes: Uint8Array;
  /** Handle of the policy to judge under; evaluations under way finish under it. */
  readonly policy: number;
  /** Whose message it is: bulkheads are kept per session and tool. */
  readonly session: string;
  /** Called exactly once, possibly before `flush` returns; never throws. */
  readonly done: (outcome: JobOutcome) => void;
};

export type JobOutcome =
  | {
      readonly kind: 'verdict';
      readonly verdict: Verdict;
      readonly queueUs: number;
      readonly evaluationUs: number;
    }
  | {
      readonly kind: 'reading';
      readonly reading: ServerReading;
      readonly queueUs: number;
      readonly evaluationUs: number;
    }
  | {
      readonly kind: 'failure';
      readonly reason: EvaluationFailureReason | 'overload';
      /** What happened, for the log and the denial: no argument values, no stack. */
      readonly detail: string;
      /** The rule that was being judged, where that is known. */
      readonly culprit?: Culprit;
      readonly queueUs: number;
      readonly evaluationUs: number;
    };

export type Evaluator = {
  /** Queues a job; a full queue answers `overload` at once. */
  submit(job: Job): void;
  /** What the evaluations of a session may know of it from now on. */
  describe(session: string, description: SessionDescription): void;
  /** The session is over. */
  forget(session: string): void;
  /** Hands over what was submitted. Called once after a burst of submits; submits without it are handed over in a microtask. */
  flush(): void;
};

/** One call's reservation. `id` settles it, once; settling again changes nothing. */
export type ReserveOutcome =
  | { readonly kind: 'reserved'; readonly id: string }
  | {
      readonly kind: 'refused';
      /** Index into the obligations. */
      readonly obligation: number;
      /** Decimal text: what is used now, and the amount asked for (absent for a `read`). */
      readonly used: string;
      readonly asked?: string;
      /** When the counter's window turns, in milliseconds since the epoch. */
      readonly retryAtMs: number;
    }
  | { readonly kind: 'unavailable'; readonly detail: string };

/** Settle with `commit` (it happened, or may have) or `rollback` (it did not). */
export type Settlement = 'commit' | 'rollback';

export type ReserveRequest = {
  /** The caller's fresh id for the reservation. */
  readonly reservation: string;
  readonly obligations: readonly Obligation[];
};

export type Counters = {
  /**
   * Discharges each request's obligations in one atomic step, or none of them; the requests in order, those of one
   * burst together, since a store's transaction costs more than what is done in it. One outcome a request. May
   * answer at once (the embedded stores) or later.
   */
  reserve(
    requests: readonly ReserveRequest[],
  ): readonly ReserveOutcome[] | Promise<readonly ReserveOutcome[]>;
  /** The outcome `reserve` would have for one request, taking nothing. */
  peek(obligations: readonly Obligation[]): ReserveOutcome | Promise<ReserveOutcome>;
  settle(reservation: string, settlement: Settlement): void;
};

export type DecisionLog = {
  /** Queues one record. */
  append(decision: Decision): void;
  /** Puts on record what was appended since the last commit, in one write; tells whether it is on record. */
  commit(): LogOutcome | Promise<LogOutcome>;
};

export type LogOutcome =
  | { readonly kind: 'recorded' }
  | { readonly kind: 'unavailable'; readonly detail: string };

export type { Decision, Obligation, RuleRef };
