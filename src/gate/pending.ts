/**
 * Requests in flight: their ids, their slots, and what becomes of them once they are with the upstream. Whatever ends
 * a message ends it through `finish`, so no table keeps it.
 *
 * INVARIANT: each reservation is settled exactly once: given back where the effect did not happen, kept where it did or may have.
 */
import type { DenyReason } from '../decision/reason.ts';
import type { RequestId } from '../decision/verdict.ts';
import type { Refusal } from './decide.ts';
import { mayGo } from './order.ts';
import type { Settlement } from './ports.ts';
import type { Instant } from './protocol.ts';
import {
  DAEMON_UNAVAILABLE,
  SHUTTING_DOWN,
  UPSTREAM_TIMEOUT,
  UPSTREAM_UNAVAILABLE,
  upstreamGone,
} from './refusals.ts';
import { emit, type GateState, idKey, type Message } from './state.ts';

/** Stays open until one side ends it (MCP 2026-07-28), so silence on it means nothing. */
const OPEN_ENDED = 'subscriptions/listen';
/** MCP forbids cancelling it. */
const NOT_CANCELLABLE = 'initialize';

/** False where a request with this id is in flight already. */
export function claimId(state: GateState, message: Message, id: RequestId): boolean {
  const key = idKey(id);
  if (state.byId.has(key)) return false;
  state.byId.set(key, message);
  message.id = id;
  return true;
}

/** Makes room among what the upstream may owe. */
export function takeSlot(state: GateState, message: Message): boolean {
  if (message.hasSlot || message.id === null) return true;
  if (state.slots >= state.options.maxPending) return false;
  state.slots += 1;
  message.hasSlot = true;
  return true;
}

/** The message is cleared: it goes now, or when those before it that must go first have gone. */
export function send(state: GateState, message: Message, now: Instant): void {
  if (mayGo(state, message.seq)) {
    forward(state, message, now);
    return;
  }
  message.phase = 'held';
  state.held.push(message);
}

export function forward(state: GateState, message: Message, now: Instant): void {
  emit(state, { type: 'forward', seq: message.seq });
  const token = message.progressToken;
  if (token !== null) state.deniedTokens.forget(token);
  if (message.id === null) {
    // Nothing ever answers it, so its outcome stays unknown.
    settle(state, message, 'commit');
    finish(state, message);
    return;
  }
  message.phase = 'pending';
  message.heardUs = now.us;
  if (token !== null) state.byToken.set(token, message);
  if (message.method !== OPEN_ENDED) state.silent.append(message);
}

/** The message goes nowhere. */
export function drop(state: GateState, message: Message): void {
  emit(state, { type: 'drop', seq: message.seq });
  finish(state, message);
}

export function settle(state: GateState, message: Message, settlement: Settlement): void {
  if (message.reservation === null) return;
  emit(state, { type: 'settle', reservation: message.reservation, settlement });
  message.reservation = null;
}

export function finish(state: GateState, message: Message): void {
  if (message.phase === 'pending' && message.cancelled) state.cancelledPending -= 1;
  message.phase = 'finished';
  state.messages.take(message.seq);
  message.line?.remove(message);
  if (message.hasSlot) state.slots -= 1;
  message.hasSlot = false;
  if (message.id !== null) {
    const key = idKey(message.id);
    if (state.byId.get(key) === message) state.byId.delete(key);
  }
  const token = message.progressToken;
  if (token !== null && state.byToken.get(token) === message) state.byToken.delete(token);
}

export function replyError(state: GateState, id: RequestId, code: number, refusal: Refusal): void {
  const { reason, message } = refusal;
  emit(state, { type: 'reply', reply: { kind: 'error', id, code, reason, message } });
}

/** The pending request with exactly this id. */
export function pendingById(state: GateState, id: RequestId): Message | undefined {
  const message = state.byId.get(idKey(id));
  return message !== undefined && message.phase === 'pending' && message.id === id ? message : undefined;
}

/** Nobody waits for the answer any more; should one come it is passed on all the same. */
export function cancelPending(state: GateState, message: Message, now: Instant): void {
  message.cancelled = true;
  state.cancelledPending += 1;
  if (message.line !== null) return;
  message.heardUs = now.us;
  state.silent.append(message);
}

/** The upstream works on the request: its time starts anew. */
export function heard(state: GateState, token: RequestId, now: Instant): void {
  const message = state.byToken.get(token);
  if (message === undefined || message.line === null) return;
  message.line.remove(message);
  message.heardUs = now.us;
  state.silent.append(message);
}

/** Ends a request whose outcome is unknown: its sender is told, unless it cancelled, and what it took stays taken. */
export function failPending(
  state: GateState,
  message: Message,
  code: number,
  reason: DenyReason,
  text: string,
): void {
  if (message.id === null) return;
  settle(state, message, 'commit');
  if (!message.cancelled) replyError(state, message.id, code, { reason, message: text });
  finish(state, message);
}

export function failSilent(state: GateState, now: Instant): void {
  const { upstreamTimeoutMs } = state.options;
  const text = `the server has been silent on this request for ${upstreamTimeoutMs} ms; whether it was carried out is unknown, so look before you repeat it`;
  for (let m = state.silent.first; m !== null; m = state.silent.first) {
    if (now.us - m.heardUs <= upstreamTimeoutMs * 1000) return;
    const { id } = m;
    const tell = !m.cancelled && m.method !== NOT_CANCELLABLE && state.closed === null;
    failPending(state, m, UPSTREAM_TIMEOUT, 'upstream_timeout', text);
    if (id !== null && tell) emit(state, { type: 'cancel_upstream', id });
  }
}

/** Once all that the upstream said before it went is read. */
export function failAllPending(state: GateState): void {
  if (state.closed === null || state.failedPending || state.nextSseq <= state.closesAfterSseq) return;
  state.failedPending = true;
  const gone = upstreamGone(state.closed);
  const text = `${gone.message}; whether this request was carried out is unknown`;
  for (const message of state.messages.values()) {
    if (message.phase === 'pending')
      failPending(state, message, UPSTREAM_UNAVAILABLE, 'upstream_unavailable', text);
  }
  state.serverRequests.clear();
}

/** What would never end by itself ends when the drain begins. */
export function endOpenEnded(state: GateState): void {
  for (const message of state.messages.values()) {
    if (message.phase !== 'pending' || message.line !== null || message.id === null) continue;
    const { id } = message;
    failPending(
      state,
      message,
      DAEMON_UNAVAILABLE,
      SHUTTING_DOWN.reason,
      'Portcullis is shutting down, which ends this subscription',
    );
    if (state.closed === null) emit(state, { type: 'cancel_upstream', id });
  }
}

/** Says once that nothing is owed any more; what nobody waits for ends there and then. */
export function sayDrained(state: GateState): void {
  if (!state.draining || state.drained || state.messages.size > state.cancelledPending) return;
  for (const message of state.messages.values()) {
    settle(state, message, 'commit');
    finish(state, message);
  }
  state.drained = true;
  emit(state, { type: 'drained' });
}
