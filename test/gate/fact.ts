/** What happened to each message of the agent's, and what can be read off it: the plain half of the model. */
import type { Decision } from '../../src/decision/decision.ts';
import type { DenyReason } from '../../src/decision/reason.ts';
import type { RequestId, Verdict } from '../../src/decision/verdict.ts';
import type { LogOutcome, PolicyInForce, ReserveOutcome, Settlement } from '../../src/gate/ports.ts';

export class Violation extends Error {}

/** One message of the agent's, with all that happened to it. */
export type Fact = {
  readonly seq: number;
  readonly ordered: boolean;
  readonly policy: PolicyInForce;
  readonly late: boolean;
  oversize: boolean;
  /** What was asked of the evaluator and has not been answered. */
  evaluating: 'judge' | 'read' | null;
  judgedOnce: boolean;
  failure: DenyReason | null;
  /** The verdict, and whether it came from judging rather than reading alone. */
  verdict: Verdict | null;
  judged: boolean;
  unreadable: boolean;
  duplicate: boolean;
  /** No answer of the server's or the agent's was pending under it when it was read. */
  stray: boolean;
  announced: boolean;
  /** A notification about another request, which waits aside until all before it is read. */
  waits: boolean;
  asked: 'peek' | 'reserve' | null;
  reserveOutcome: ReserveOutcome | null;
  reservation: string | null;
  settled: Settlement | null;
  records: Decision[];
  recording: boolean;
  /** How the last record ended. */
  logged: LogOutcome | null;
  /** A cancellation took hold before it was forwarded. */
  calledOff: boolean;
  cancelled: boolean;
  slot: boolean;
  fate: 'open' | 'forwarded' | 'dropped';
  /** With the upstream, which owes an answer. */
  pending: boolean;
  heardUs: number;
  answers: number;
};

export type Call = Extract<Verdict, { kind: 'call' }>;

export function factOf(
  seq: number,
  ordered: boolean,
  oversize: boolean,
  policy: PolicyInForce,
  late: boolean,
): Fact {
  return {
    seq,
    ordered,
    policy,
    late,
    oversize,
    evaluating: null,
    judgedOnce: false,
    failure: null,
    verdict: null,
    judged: false,
    unreadable: false,
    duplicate: false,
    stray: false,
    announced: false,
    waits: false,
    asked: null,
    reserveOutcome: null,
    reservation: null,
    settled: null,
    records: [],
    recording: false,
    logged: null,
    calledOff: false,
    cancelled: false,
    slot: false,
    fate: 'open',
    pending: false,
    heardUs: 0,
    answers: 0,
  };
}

/** What no mode lets through. */
export const HARD: ReadonlySet<string> = new Set(['malformed_message', 'daemon_unavailable']);

/** What stands against a call by what was answered about it. */
export function reasonAgainst(fact: Fact, verdict: Call): DenyReason | null {
  if (fact.late) return 'daemon_unavailable';
  if (verdict.unusualName === true && !fact.announced) return 'malformed_message';
  if (fact.failure !== null) return fact.failure;
  if (verdict.suspect === 'quarantined') return 'quarantined';
  if (!fact.judged || verdict.suspect !== undefined || verdict.ruling === undefined)
    return 'evaluation_error';
  const outcome = fact.reserveOutcome;
  if (verdict.ruling.effect === 'deny') {
    if (verdict.ruling.earlier.length > 0)
      check(fact.asked === 'peek', 'P6', 'earlier limits are looked at first');
    return outcome?.kind === 'refused' ? 'limit_reached' : verdict.ruling.denial.reason;
  }
  if (verdict.ruling.obligations.length === 0) return null;
  // Without room, or without an upstream, nothing is reserved; `#expected` says why.
  if (fact.asked === null || outcome === null) return null;
  if (outcome.kind === 'reserved') return null;
  return outcome.kind === 'refused' ? 'limit_reached' : 'state_unavailable';
}

export function isUnread(fact: Fact): boolean {
  return fact.verdict === null && !fact.unreadable && !fact.oversize;
}

export function isOver(fact: Fact): boolean {
  return fact.fate !== 'open' && !fact.pending;
}

/** Read, no call, and to be forwarded in its turn. */
export function isCleared(fact: Fact): boolean {
  const { verdict } = fact;
  if (fact.fate !== 'open' || verdict === null || fact.waits || fact.records.length > 0) return false;
  return verdict.kind !== 'call' && verdict.kind !== 'malformed';
}

export function idOf(fact: Fact): RequestId | null {
  const { verdict } = fact;
  return verdict?.kind === 'call' || verdict?.kind === 'request' ? verdict.id : null;
}

export function idOrNull(fact: Fact): RequestId | null {
  return fact.verdict?.kind === 'malformed' ? (fact.verdict.id ?? null) : idOf(fact);
}

/** Does the request occupy its id, whatever its spelling? */
export function holdsId(fact: Fact, key: string): boolean {
  const id = idOf(fact);
  return id !== null && !fact.duplicate && !isOver(fact) && text(id) === key;
}

export function tokenOf({ verdict }: Fact): RequestId | null {
  return verdict?.kind === 'call' || verdict?.kind === 'request' ? (verdict.progressToken ?? null) : null;
}

export function methodOf({ verdict }: Fact): string {
  return verdict?.kind === 'request' ? verdict.method : 'tools/call';
}

/** Ids of both types as one text. */
export function text(id: RequestId): string {
  return String(JSON.parse(id));
}

export function summary(effect: string, reason: string, wouldDeny?: string, failure?: string): string {
  return `${effect} ${reason}${wouldDeny === undefined ? '' : ` (would deny: ${wouldDeny})`}${failure === undefined ? '' : ` (failure: ${failure})`}`;
}

export function check(holds: boolean, promise: string, what: string): void {
  if (!holds) broken(promise, what);
}

export function broken(promise: string, what: string): never {
  throw new Violation(`${promise}: not true that ${what}`);
}
