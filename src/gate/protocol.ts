/**
 * What the gate is told and what it asks for. The gate (`gate.ts`) is a state machine without I/O, clock or
 * randomness: `step(state, event, now) → effects`. A driver (`proxy/session.ts`, or the simulation in the tests)
 * carries the effects out and brings their outcomes back as events, in any order.
 *
 * Agent messages are numbered by `seq`, server messages by `sseq`, each from 1 in order of arrival. The driver keeps
 * the bytes; the gate never sees them.
 */
import type { Decision } from '../decision/decision.ts';
import type { Obligation } from '../decision/obligation.ts';
import type { DenyReason, EnforcementMode, FailMode } from '../decision/reason.ts';
import type { RequestId, ServerReading, ToolListing } from '../decision/verdict.ts';
import type { JobOutcome, LogOutcome, PolicyInForce, ReserveOutcome, Settlement } from './ports.ts';

/** `us`: a monotonic clock in microseconds. `wallMs`: the wall clock in milliseconds since the epoch. */
export type Instant = { readonly us: number; readonly wallMs: number };

export type GateOptions = {
  readonly session: string;
  readonly server: string;
  readonly mode: EnforcementMode;
  readonly failMode: FailMode;
  /** Tools whose faults are rehearsed (`--inject`); decisions about them are marked. */
  readonly injected: ReadonlySet<string>;
  /** Requests the upstream may owe at once; one more is denied with `overload`. */
  readonly maxPending: number;
  /** How long the upstream may stay silent on a request; progress on it starts the time anew. */
  readonly upstreamTimeoutMs: number;
  /** Fresh ids for decisions and reservations. */
  readonly newId: () => string;
};

export type GateEvent =
  /**
   * A whole message came from the agent. `ordered`: by its bytes it may be something other than a tool call, so
   * messages behind it are not forwarded before it. Only a hint: it decides order, never whether.
   */
  | { readonly type: 'agent_message'; readonly seq: number; readonly ordered: boolean }
  /** A line longer than the cap came from the agent and was skipped unread. */
  | { readonly type: 'agent_oversize'; readonly seq: number; readonly maxBytes: number }
  | { readonly type: 'evaluated'; readonly seq: number; readonly outcome: JobOutcome }
  /** Answers both `reserve` and `peek`. */
  | { readonly type: 'reserved'; readonly seq: number; readonly outcome: ReserveOutcome }
  | { readonly type: 'recorded'; readonly seq: number; readonly outcome: LogOutcome }
  | { readonly type: 'server_message'; readonly sseq: number }
  | { readonly type: 'server_oversize'; readonly sseq: number; readonly maxBytes: number }
  /** `failed`: the message could not be read in time. */
  | {
      readonly type: 'server_read';
      readonly sseq: number;
      readonly reading: ServerReading | { readonly kind: 'failed'; readonly detail: string };
    }
  /** Visible tools that the server lists, learnt without the agent. */
  | { readonly type: 'listed'; readonly names: readonly string[] }
  | { readonly type: 'upstream_closed'; readonly detail: string }
  | { readonly type: 'policy'; readonly policy: PolicyInForce }
  /** Stop taking calls; `drained` follows when nothing is owed any more. */
  | { readonly type: 'drain' }
  /** Time passed: look at deadlines. */
  | { readonly type: 'tick' };

export type Effect =
  | {
      readonly type: 'evaluate';
      readonly seq: number;
      readonly kind: 'judge' | 'read';
      readonly policy: number;
    }
  | {
      readonly type: 'reserve';
      readonly seq: number;
      readonly reservation: string;
      readonly obligations: readonly Obligation[];
    }
  | { readonly type: 'peek'; readonly seq: number; readonly obligations: readonly Obligation[] }
  | { readonly type: 'settle'; readonly reservation: string; readonly settlement: Settlement }
  | { readonly type: 'record'; readonly seq: number; readonly decision: Decision }
  /** Write the judged bytes to the upstream, in the order these effects come. The driver then forgets the bytes. */
  | { readonly type: 'forward'; readonly seq: number }
  /** Forget the bytes without forwarding them. */
  | { readonly type: 'drop'; readonly seq: number }
  | { readonly type: 'reply'; readonly reply: Reply }
  | { readonly type: 'read_server'; readonly sseq: number; readonly policy: number }
  /** Write the server's message to the agent, less the listing's cuts. */
  | { readonly type: 'relay'; readonly sseq: number; readonly listing?: ToolListing }
  | { readonly type: 'discard'; readonly sseq: number; readonly why: string }
  /** The upstream let a request's deadline pass: tell it that nobody waits any more. */
  | { readonly type: 'cancel_upstream'; readonly id: RequestId }
  | { readonly type: 'note'; readonly level: 'info' | 'warn' | 'error'; readonly message: string }
  | { readonly type: 'drained' };

export type Reply =
  /** A tool result with `isError: true`. */
  | { readonly kind: 'denial'; readonly id: RequestId; readonly decision: Decision }
  /** A JSON-RPC error. `id` null where it could not be read. */
  | {
      readonly kind: 'error';
      readonly id: RequestId | null;
      readonly code: number;
      readonly reason: DenyReason;
      readonly message: string;
      readonly decision?: Decision;
    };
