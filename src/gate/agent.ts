/** The agent's side: a message's arrival, its reading, and what is done with all that is not a tool call. */
import type { MalformedMessage, Verdict } from '../decision/verdict.ts';
import { callOff, onCall, refuse, refuseAsMalformed } from './call.ts';
import { allReadBefore, arrive, leaveUnread, mayGo } from './order.ts';
import { cancelPending, claimId, drop, forward, replyError, send, takeSlot } from './pending.ts';
import type { JobOutcome } from './ports.ts';
import type { Instant } from './protocol.ts';
import {
  CANCELLED,
  DAEMON_UNAVAILABLE,
  failureRefusal,
  ID_IN_USE,
  INTERNAL_ERROR,
  INVALID_REQUEST,
  SHUTTING_DOWN,
  tooManyPending,
  UPSTREAM_UNAVAILABLE,
  upstreamGone,
} from './refusals.ts';
import { emit, type Failure, type GateState, idKey, type Message } from './state.ts';

const CANCEL = 'notifications/cancelled';
const PROGRESS = 'notifications/progress';
const CALL = 'tools/call';

type RequestVerdict = Extract<Verdict, { kind: 'request' }>;
type NotificationVerdict = Extract<Verdict, { kind: 'notification' }>;

export function onAgentMessage(state: GateState, seq: number, ordered: boolean, now: Instant): void {
  const message = enter(state, seq, ordered, now);
  if (message === null) return;
  arrive(state, message);
  if (message.late) message.phase = 'reading';
  const kind = message.late ? 'read' : 'judge';
  emit(state, { type: 'evaluate', seq, kind, policy: message.policy.handle });
}

export function onAgentOversize(state: GateState, seq: number, maxBytes: number, now: Instant): void {
  const message = enter(state, seq, false, now);
  if (message === null) return;
  message.kind = 'malformed';
  message.answerTo = null;
  const text = `the message is longer than ${maxBytes} bytes, so it was skipped unread; send less at once`;
  refuseAsMalformed(state, message, INVALID_REQUEST, text, now);
}

function enter(state: GateState, seq: number, ordered: boolean, now: Instant): Message | null {
  // FAIL-CLOSED: two messages under one number could be taken for each other.
  if (seq <= state.lastSeq) {
    emit(state, { type: 'note', level: 'error', message: `agent message ${seq} came twice` });
    return null;
  }
  state.lastSeq = seq;
  const message: Message = {
    seq,
    ordered,
    policy: state.policy,
    arrivedUs: now.us,
    late: state.draining,
    phase: 'judging',
    queueUs: 0,
    evaluationUs: 0,
    failure: null,
    kind: 'unread',
    id: null,
    tool: null,
    method: '',
    progressToken: null,
    cancels: null,
    about: null,
    ruling: null,
    reservation: null,
    decision: null,
    answerTo: undefined,
    errorCode: 0,
    hasSlot: false,
    cancelled: false,
    heardUs: 0,
    line: null,
    previous: null,
    next: null,
  };
  state.messages.add(seq, message);
  return message;
}

export function onEvaluated(state: GateState, message: Message, outcome: JobOutcome, now: Instant): boolean {
  if (message.phase !== 'judging' && message.phase !== 'reading') return false;
  message.queueUs += outcome.queueUs;
  message.evaluationUs += outcome.evaluationUs;
  if (outcome.kind === 'verdict') {
    leaveUnread(message);
    onRead(state, message, outcome.verdict, now);
    release(state, now);
    return true;
  }
  const failure: Failure =
    outcome.kind === 'failure'
      ? outcome
      : // FAIL-CLOSED: an answer about another kind of message is no verdict.
        { reason: 'evaluation_error', detail: 'the evaluator answered for another kind of message' };
  message.failure ??= failure;
  if (message.phase === 'judging') {
    // Whom to answer, and about which tool, is known only from reading it.
    message.phase = 'reading';
    const { seq, policy } = message;
    emit(state, { type: 'evaluate', seq, kind: 'read', policy: policy.handle });
    return true;
  }
  leaveUnread(message);
  // FAIL-CLOSED: what could not even be read is answered as far as that goes, and dropped in every mode.
  message.answerTo = null;
  refuse(state, message, INTERNAL_ERROR, failureRefusal(message.failure, false), now);
  release(state, now);
  return true;
}

function onRead(state: GateState, message: Message, verdict: Verdict, now: Instant): void {
  switch (verdict.kind) {
    case 'call':
      return onCall(state, message, verdict, now);
    case 'request':
      return onRequest(state, message, verdict, now);
    case 'notification':
      return onNotification(state, message, verdict, now);
    case 'response':
      return onResponse(state, message, verdict.id, now);
    case 'malformed':
      return onMalformed(state, message, verdict, now);
  }
}

function onMalformed(state: GateState, message: Message, verdict: MalformedMessage, now: Instant): void {
  message.kind = 'malformed';
  message.tool = verdict.tool ?? null;
  message.answerTo = verdict.id;
  refuse(state, message, verdict.code, { reason: verdict.reason, message: verdict.message }, now);
}

function onRequest(state: GateState, message: Message, verdict: RequestVerdict, now: Instant): void {
  message.kind = 'request';
  message.method = verdict.method;
  message.progressToken = verdict.progressToken ?? null;
  message.answerTo = verdict.id;
  if (isCallInDisguise(state, message, now)) return;
  if (!claimId(state, message, verdict.id)) {
    refuseAsMalformed(state, message, INVALID_REQUEST, ID_IN_USE, now);
    return;
  }
  if (message.late) {
    drop(state, message);
    replyError(state, verdict.id, DAEMON_UNAVAILABLE, SHUTTING_DOWN);
  } else if (state.closed !== null) goneFor(state, message);
  else if (takeSlot(state, message)) send(state, message, now);
  else {
    drop(state, message);
    replyError(state, verdict.id, INTERNAL_ERROR, tooManyPending(state.options.maxPending));
  }
}

/** FAIL-CLOSED: a tool call that was read as something else was not judged. */
function isCallInDisguise(state: GateState, message: Message, now: Instant): boolean {
  if (message.method !== CALL) return false;
  refuseAsMalformed(state, message, INVALID_REQUEST, 'this tool call was not read as one', now);
  return true;
}

function onNotification(
  state: GateState,
  message: Message,
  verdict: NotificationVerdict,
  now: Instant,
): void {
  message.kind = 'notification';
  message.method = verdict.method;
  if (isCallInDisguise(state, message, now)) return;
  const token = verdict.progressToken ?? null;
  if (
    verdict.method === CANCEL ||
    (verdict.method === PROGRESS && token !== null && !isServersToken(state, token))
  ) {
    // It may be about a call that is not read yet, and that is denied.
    message.cancels = verdict.cancels ?? null;
    message.about = token;
    message.phase = 'waiting';
    state.waiting.push(message);
  } else if (state.closed !== null) drop(state, message);
  else send(state, message, now);
}

/** Each side chooses its own tokens, so one of the server's may equal one of a denied call. */
function isServersToken(state: GateState, token: string): boolean {
  for (const request of state.serverRequests.values()) if (request.progressToken === token) return true;
  return false;
}

function onResponse(state: GateState, message: Message, id: string, now: Instant): void {
  message.kind = 'response';
  const key = idKey(id);
  if (state.serverRequests.get(key)?.id !== id) {
    const text = 'an answer of the agent to no pending request of the server was dropped';
    emit(state, { type: 'note', level: 'warn', message: text });
    drop(state, message);
    return;
  }
  state.serverRequests.delete(key);
  if (state.closed !== null) drop(state, message);
  else send(state, message, now);
}

/** The message was cleared and has nowhere to go any more. */
export function goneFor(state: GateState, message: Message, now?: Instant): void {
  const refusal = upstreamGone(state.closed ?? '');
  if (message.kind === 'call' && now !== undefined) {
    callOff(state, message, refusal, now);
    return;
  }
  drop(state, message);
  if (message.id !== null) replyError(state, message.id, UPSTREAM_UNAVAILABLE, refusal);
}

/** A message was read: those that had to wait for that go now, in their order. */
function release(state: GateState, now: Instant): void {
  for (let m = state.held.first; m !== undefined && mayGo(state, m.seq); m = state.held.first) {
    state.held.shift();
    if (m.phase === 'held') forward(state, m, now);
  }
  for (let m = state.waiting.first; m !== undefined && allReadBefore(state, m.seq); m = state.waiting.first) {
    state.waiting.shift();
    if (m.method === CANCEL) cancel(state, m, now);
    else if (state.closed !== null || m.about === null || state.deniedTokens.has(m.about)) drop(state, m);
    else forward(state, m, now);
  }
}

function cancel(state: GateState, message: Message, now: Instant): void {
  const target = message.cancels === null ? undefined : state.byId.get(idKey(message.cancels));
  // A request behind the cancellation is another one, even under the same id.
  if (target === undefined || target.id !== message.cancels || target.seq > message.seq || target.cancelled) {
    drop(state, message);
    return;
  }
  switch (target.phase) {
    case 'pending':
      cancelPending(state, target, now);
      if (state.closed === null) forward(state, message, now);
      else drop(state, message);
      return;
    case 'peeking':
    case 'reserving':
      // What was asked of the counters comes back first.
      target.cancelled = true;
      break;
    case 'recording':
      // A denial that is on its way stays one, and is answered.
      if (target.decision?.effect === 'allow') target.cancelled = true;
      break;
    case 'held':
      target.cancelled = true;
      if (target.kind === 'call') callOff(state, target, CANCELLED, now);
      else drop(state, target);
      break;
    case 'judging':
    case 'reading':
    case 'waiting':
    case 'finished':
      break;
  }
  drop(state, message);
}

/** The upstream is gone: what was cleared to go to it goes nowhere. */
export function refuseHeld(state: GateState, now: Instant): void {
  for (let m = state.held.shift(); m !== undefined; m = state.held.shift()) {
    if (m.phase !== 'held') continue;
    goneFor(state, m, now);
  }
}
