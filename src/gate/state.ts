/**
 * What a gate remembers: one entry for each message of the agent that is not finished, and tables to find entries by
 * id and by progress token. Every entry leaves all tables when its message is finished (`finish`, pending.ts).
 */
import type { Decision } from '../decision/decision.ts';
import type { Culprit } from '../decision/obligation.ts';
import type { EvaluationFailureReason } from '../decision/reason.ts';
import type { RequestId, Ruling, ServerReading } from '../decision/verdict.ts';
import { Announced } from './announced.ts';
import { Held, Line } from './order.ts';
import type { PolicyInForce } from './ports.ts';
import type { Effect, GateOptions } from './protocol.ts';
import { Recent } from './recent.ts';
import { SeqTable } from './seq-table.ts';

export type Phase =
  /** Unread: with the evaluator, for a verdict or (after a failure, or while draining) for a reading alone. */
  | 'judging'
  | 'reading'
  /** A call whose counters are looked at, or whose limits are being reserved. */
  | 'peeking'
  | 'reserving'
  /** Decided; the decision is on its way to the log. */
  | 'recording'
  /** Cleared to go, behind an earlier message that must go first. */
  | 'held'
  /** A notification about another request, which waits until every message before it is read. */
  | 'waiting'
  /** A request that the upstream has and owes an answer for. */
  | 'pending'
  | 'finished';

export type Failure = {
  readonly reason: EvaluationFailureReason | 'overload';
  readonly detail: string;
  readonly culprit?: Culprit;
};

/** One message of the agent's, from its arrival to its end. */
export type Message = {
  readonly seq: number;
  readonly ordered: boolean;
  /** In force when its evaluation began. */
  readonly policy: PolicyInForce;
  readonly arrivedUs: number;
  /** Came after the drain began. */
  readonly late: boolean;
  phase: Phase;
  queueUs: number;
  evaluationUs: number;
  /** Why it could not be judged. */
  failure: Failure | null;
  kind: 'unread' | 'malformed' | 'call' | 'request' | 'notification' | 'response';
  /** The id it holds in the table of ids, or null. */
  id: RequestId | null;
  tool: string | null;
  method: string;
  progressToken: RequestId | null;
  /** Of a notification: the request it cancels; the token it reports on. */
  cancels: RequestId | null;
  about: RequestId | null;
  /** What the policy said, while counters are asked about it. */
  ruling: Ruling | null;
  /** INVARIANT: set from `reserve` until the reservation is settled or refused. */
  reservation: string | null;
  decision: Decision | null;
  /** Whom a denial is answered to: an id, null where the id is unknown, undefined for nobody. */
  answerTo: RequestId | null | undefined;
  /** The JSON-RPC error a denial is answered with; 0 for a tool result. */
  errorCode: number;
  /** Counted among what the upstream may owe. */
  hasSlot: boolean;
  cancelled: boolean;
  /** `pending`: when the upstream last showed that it works on the request. */
  heardUs: number;
  /** Neighbours in the one line that the message stands in, if any. */
  line: Line | null;
  previous: Message | null;
  next: Message | null;
};

/** A request of the server's that the agent has not answered. */
export type ServerRequest = { readonly id: RequestId; readonly progressToken: RequestId | null };

export type ServerArrival = ServerReading | { readonly kind: 'failed' | 'oversize'; readonly detail: string };

export type GateState = {
  readonly options: GateOptions;
  policy: PolicyInForce;
  /** What the step under way asks for so far. */
  effects: Effect[] | null;
  lastSeq: number;
  readonly messages: SeqTable<Message>;
  /** Requests in flight by `idKey`: at most one each, from the reading of its id until its answer. */
  readonly byId: Map<string, Message>;
  /** Forwarded requests by the progress token they asked with. */
  readonly byToken: Map<RequestId, Message>;
  /** How many messages have a slot. */
  slots: number;
  /** Unread messages in order of arrival; those that hold others up apart from those that do not. */
  readonly unreadOrdered: Line;
  readonly unreadOther: Line;
  readonly held: Held;
  readonly waiting: Held;
  /** Pending requests, the longest silent first. */
  readonly silent: Line;
  /** How many pending requests nobody waits for any more. */
  cancelledPending: number;
  /** Of calls that are not, or not yet, forwarded. */
  readonly deniedTokens: Recent;
  readonly announced: Announced;
  readonly serverRequests: Map<string, ServerRequest>;
  lastSseq: number;
  /** The server message to act on next; readings that came before their turn wait. */
  nextSseq: number;
  readonly serverReadings: Map<number, ServerArrival>;
  /** Why the upstream is gone, from the moment that is known: nothing is forwarded any more. */
  closed: string | null;
  /** What the upstream had said by then still counts; pending requests are failed once it is read. */
  closesAfterSseq: number;
  failedPending: boolean;
  draining: boolean;
  drained: boolean;
};

export function createState(options: GateOptions, policy: PolicyInForce): GateState {
  return {
    options,
    policy,
    effects: null,
    lastSeq: 0,
    messages: new SeqTable(),
    byId: new Map(),
    byToken: new Map(),
    slots: 0,
    unreadOrdered: new Line(),
    unreadOther: new Line(),
    held: new Held(),
    waiting: new Held(),
    silent: new Line(),
    cancelledPending: 0,
    deniedTokens: new Recent(),
    announced: new Announced(),
    serverRequests: new Map(),
    lastSseq: 0,
    nextSseq: 1,
    serverReadings: new Map(),
    closed: null,
    closesAfterSseq: 0,
    failedPending: false,
    draining: false,
    drained: false,
  };
}

/**
 * The id as one text for both of its JSON types: a lenient reader takes `1` for `"1"`, so both at once are not let in.
 * Where an exact match is needed, ids are compared as they are spelt.
 */
export function idKey(id: RequestId): string {
  if (id.charCodeAt(0) !== 0x22) return id;
  if (!id.includes('\\')) return id.slice(1, -1);
  try {
    return String(JSON.parse(id));
  } catch {
    // FAIL-CLOSED: not a canonical spelling, so it equals nothing but itself.
    return id;
  }
}

/** Adds an effect to the step's. Most steps have one, and an array that grows by `push` from empty makes room for many. */
export function emit(state: GateState, effect: Effect): void {
  if (state.effects === null) state.effects = [effect];
  else state.effects.push(effect);
}
