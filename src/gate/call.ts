/**
 * A tool call's way from its verdict to its effect: obligations, decision, record, and only then the effect.
 *
 * INVARIANT: nothing in this file forwards a call whose allow is not on record.
 */
import type { Decision } from '../decision/decision.ts';
import type { Ruling, Verdict } from '../decision/verdict.ts';
import { decide, type Outcome, type Refusal } from './decide.ts';
import { claimId, drop, send, settle, takeSlot } from './pending.ts';
import type { LogOutcome, ReserveOutcome } from './ports.ts';
import type { Instant, Reply } from './protocol.ts';
import {
  CANCELLED,
  DAEMON_UNAVAILABLE,
  failureRefusal,
  ID_IN_USE,
  INVALID_PARAMS,
  INVALID_REQUEST,
  LOG_UNAVAILABLE,
  limitRefusal,
  QUARANTINED,
  SHUTTING_DOWN,
  tooManyPending,
  UNUSUAL_NAME,
  UPSTREAM_UNAVAILABLE,
  upstreamGone,
} from './refusals.ts';
import { emit, type Failure, type GateState, type Message } from './state.ts';

export type CallVerdict = Extract<Verdict, { kind: 'call' }>;

const NOT_JUDGED: Failure = {
  reason: 'evaluation_error',
  detail: 'the evaluator read it and gave no ruling',
};

export function onCall(state: GateState, message: Message, verdict: CallVerdict, now: Instant): void {
  message.kind = 'call';
  message.method = 'tools/call';
  message.tool = verdict.tool;
  message.progressToken = verdict.progressToken ?? null;
  message.answerTo = verdict.id ?? undefined;
  // FAIL-CLOSED: until it is forwarded it counts as denied.
  if (message.progressToken !== null) state.deniedTokens.add(message.progressToken);
  if (verdict.id !== null && !claimId(state, message, verdict.id)) {
    refuseAsMalformed(state, message, INVALID_REQUEST, ID_IN_USE, now);
    return;
  }
  const refusal = refusalOf(state, message, verdict);
  if (refusal !== null) {
    conclude(state, message, refusal, now);
    return;
  }
  const ruling = verdict.ruling as Ruling;
  if (ruling.effect === 'allow') {
    if (ruling.obligations.length === 0) {
      conclude(state, message, null, now);
      return;
    }
    // Nothing is reserved for a call that has nowhere to go.
    const blocked = blockedBy(state, message);
    if (blocked !== null) {
      conclude(state, message, blocked, now);
      return;
    }
    message.ruling = ruling;
    message.phase = 'reserving';
    message.reservation = state.options.newId();
    emit(state, {
      type: 'reserve',
      seq: message.seq,
      reservation: message.reservation,
      obligations: ruling.obligations,
    });
    return;
  }
  if (ruling.earlier.length === 0) {
    conclude(state, message, ruling.denial, now);
    return;
  }
  message.ruling = ruling;
  message.phase = 'peeking';
  emit(state, { type: 'peek', seq: message.seq, obligations: ruling.earlier });
}

/** What stands against the call apart from the policy's ruling. */
function refusalOf(state: GateState, message: Message, verdict: CallVerdict): Refusal | null {
  if (message.late) return SHUTTING_DOWN;
  if (verdict.unusualName === true && !state.announced.has(verdict.tool)) return UNUSUAL_NAME;
  if (message.failure !== null) return failureRefusal(message.failure, isInjected(state, verdict.tool));
  if (verdict.suspect === 'quarantined') return QUARANTINED;
  // FAIL-CLOSED: a call that was read but not judged was not judged.
  if (verdict.suspect !== undefined || verdict.ruling === undefined) {
    return failureRefusal(NOT_JUDGED, isInjected(state, verdict.tool));
  }
  return null;
}

/** Why an allowed call cannot be sent. */
function blockedBy(state: GateState, message: Message): Refusal | null {
  if (message.cancelled) return CANCELLED;
  if (state.closed !== null) return upstreamGone(state.closed);
  return takeSlot(state, message) ? null : tooManyPending(state.options.maxPending);
}

/** Answers `reserve` and `peek`. */
export function onReserved(
  state: GateState,
  message: Message,
  outcome: ReserveOutcome,
  now: Instant,
): boolean {
  const { ruling } = message;
  if (ruling === null) return false;
  if (message.phase === 'peeking' && ruling.effect === 'deny') {
    message.ruling = null;
    // Where the counters cannot be read the denial stands as it is.
    const limited = outcome.kind === 'refused';
    conclude(
      state,
      message,
      limited ? limitRefusal(outcome, ruling.earlier, now.wallMs, true) : ruling.denial,
      now,
    );
    return true;
  }
  if (message.phase !== 'reserving' || ruling.effect !== 'allow') return false;
  message.ruling = null;
  if (outcome.kind === 'reserved') {
    conclude(state, message, null, now);
    return true;
  }
  message.reservation = null;
  conclude(state, message, limitRefusal(outcome, ruling.obligations, now.wallMs, false), now);
  return true;
}

/** Decides, and puts the decision on record. The effect waits for that. */
function conclude(state: GateState, message: Message, refusal: Refusal | null, now: Instant): void {
  const { mode, failMode } = state.options;
  let outcome = decide(message.cancelled ? CANCELLED : refusal, mode, failMode);
  if (outcome.effect === 'allow') {
    const blocked = blockedBy(state, message);
    if (blocked !== null) outcome = decide(blocked, mode, failMode);
  }
  // A reservation goes by the id of the decision that it was made for.
  record(state, message, message.reservation ?? state.options.newId(), outcome, now);
}

/** An allow on record cannot take effect any more: a second record under the same id says so. */
export function callOff(state: GateState, message: Message, refusal: Refusal, now: Instant): void {
  const { mode, failMode } = state.options;
  const id = message.decision === null ? state.options.newId() : message.decision.id;
  record(state, message, id, decide(refusal, mode, failMode), now);
}

function record(state: GateState, message: Message, id: string, outcome: Outcome, now: Instant): void {
  if (outcome.effect === 'deny') {
    settle(state, message, 'rollback');
    if (outcome.reason === 'cancelled') message.answerTo = undefined;
    if (message.errorCode === 0) message.errorCode = errorCodeFor(outcome);
  }
  message.decision = decisionOf(state, message, id, outcome, now);
  message.phase = 'recording';
  emit(state, { type: 'record', seq: message.seq, decision: message.decision });
}

/** What is wrong with the protocol or the connection is a JSON-RPC error; what is wrong with the call, a tool result. */
function errorCodeFor({ reason }: Outcome): number {
  switch (reason) {
    case 'malformed_message':
    case 'unknown_method':
      return INVALID_PARAMS;
    case 'upstream_unavailable':
      return UPSTREAM_UNAVAILABLE;
    case 'daemon_unavailable':
      return DAEMON_UNAVAILABLE;
    default:
      return 0;
  }
}

/** Puts on record that a message is refused, and answers it with an error where `answerTo` says whom. */
export function refuse(
  state: GateState,
  message: Message,
  code: number,
  refusal: Refusal,
  now: Instant,
): void {
  const { mode, failMode } = state.options;
  message.errorCode = code;
  record(state, message, state.options.newId(), decide({ ...refusal, final: true }, mode, failMode), now);
}

export function refuseAsMalformed(
  state: GateState,
  message: Message,
  code: number,
  text: string,
  now: Instant,
): void {
  refuse(state, message, code, { reason: 'malformed_message', message: text }, now);
}

export function onRecorded(state: GateState, message: Message, outcome: LogOutcome, now: Instant): boolean {
  const { decision } = message;
  if (message.phase !== 'recording' || decision === null) return false;
  if (outcome.kind === 'unavailable') {
    const text = `the decision log cannot be written: ${outcome.detail}`;
    emit(state, { type: 'note', level: 'error', message: text });
  }
  if (decision.effect !== 'allow') {
    answerDenied(state, message, decision);
    return true;
  }
  if (outcome.kind === 'unavailable') {
    // FAIL-CLOSED: what is not on record does not happen.
    settle(state, message, 'rollback');
    const denied = decide(LOG_UNAVAILABLE, state.options.mode, state.options.failMode);
    message.decision = decisionOf(state, message, decision.id, denied, now);
    answerDenied(state, message, message.decision);
  } else if (message.cancelled) callOff(state, message, CANCELLED, now);
  else if (state.closed !== null) callOff(state, message, upstreamGone(state.closed), now);
  else send(state, message, now);
  return true;
}

function answerDenied(state: GateState, message: Message, decision: Decision): void {
  const { answerTo, errorCode, cancelled } = message;
  drop(state, message);
  if (answerTo === undefined || cancelled) return;
  // Only a call whose id was read is answered with a tool result.
  const reply: Reply =
    errorCode === 0 && answerTo !== null
      ? { kind: 'denial', id: answerTo, decision }
      : errorReply(answerTo, errorCode, decision);
  emit(state, { type: 'reply', reply });
}

function errorReply(id: Reply['id'], code: number, decision: Decision): Reply {
  const { reason, message } = decision;
  // A denial never holds an allow's reason; the type does not know.
  const denied = reason === 'allowed' || reason === 'failed_open' ? 'evaluation_error' : reason;
  return { kind: 'error', id, code, reason: denied, message, decision };
}

function isInjected(state: GateState, tool: string): boolean {
  return state.options.injected.size > 0 && state.options.injected.has(tool);
}

type Draft = { -readonly [K in keyof Decision]: Decision[K] };

function decisionOf(
  state: GateState,
  message: Message,
  id: string,
  outcome: Outcome,
  now: Instant,
): Decision {
  const { options } = state;
  const decision: Draft = {
    id,
    session: options.session,
    server: options.server,
    tool: message.tool,
    requestId: message.answerTo ?? message.id,
    effect: outcome.effect,
    reason: outcome.reason,
    message: outcome.message,
    policyDigest: message.policy.digest,
    mode: options.mode,
    failMode: options.failMode,
    timeMs: now.wallMs,
    queueUs: message.queueUs,
    evaluationUs: message.evaluationUs,
    totalUs: now.us - message.arrivedUs,
  };
  if (outcome.rule !== undefined) decision.rule = outcome.rule;
  if (outcome.wouldDeny !== undefined) decision.wouldDeny = outcome.wouldDeny;
  if (outcome.failure !== undefined) decision.failure = outcome.failure;
  if (outcome.retryAtMs !== undefined) decision.retryAtMs = outcome.retryAtMs;
  if (message.reservation !== null) decision.reservation = message.reservation;
  if (message.tool !== null && isInjected(state, message.tool)) decision.injected = true;
  return decision;
}
