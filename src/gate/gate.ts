/**
 * The gate: a state machine for one session, without I/O, clock or randomness. `step` takes one event and returns what
 * is to be done; whoever drives it does that and brings the outcomes back as events, in any order.
 *
 * Promises (docs/reasons.md has the reasons): a tool call is forwarded only after its allow is on record; every request
 * with an id has one answer; every reservation is settled once; nothing is left in any table when nothing is owed.
 */
import { onAgentMessage, onAgentOversize, onEvaluated, refuseHeld } from './agent.ts';
import { onRecorded, onReserved } from './call.ts';
import { endOpenEnded, failAllPending, failSilent, sayDrained } from './pending.ts';
import type { PolicyInForce } from './ports.ts';
import type { Effect, GateEvent, GateOptions, Instant } from './protocol.ts';
import { arrived, onServerMessage, onServerOversize } from './server.ts';
import { createState, emit, type GateState } from './state.ts';

export type { GateState };

export function createGate(options: GateOptions, policy: PolicyInForce): GateState {
  return createState(options, policy);
}

/** Changes `state`. The effects are to be carried out in their order. */
export function step(state: GateState, event: GateEvent, now: Instant): Effect[] {
  // A fresh list each time: the driver may step again while it still carries out the last one.
  state.effects = null;
  switch (event.type) {
    case 'agent_message':
      onAgentMessage(state, event.seq, event.ordered, now);
      break;
    case 'agent_oversize':
      onAgentOversize(state, event.seq, event.maxBytes, now);
      break;
    case 'evaluated':
    case 'reserved':
    case 'recorded':
      if (!answered(state, event, now)) unexpected(state, `${event.type} ${event.seq}`);
      break;
    case 'server_message':
      onServerMessage(state, event.sseq, now);
      break;
    case 'server_oversize':
      onServerOversize(state, event.sseq, event.maxBytes, now);
      break;
    case 'server_read':
      if (!arrived(state, event.sseq, event.reading, now)) unexpected(state, `server_read ${event.sseq}`);
      break;
    case 'listed':
      state.announced.add(event.names);
      break;
    case 'upstream_closed':
      close(state, event.detail, now);
      break;
    case 'policy':
      state.policy = event.policy;
      break;
    case 'drain':
      if (!state.draining) endOpenEnded(state);
      state.draining = true;
      break;
    case 'tick':
      failSilent(state, now);
      break;
  }
  if (state.draining) sayDrained(state);
  const { effects } = state;
  state.effects = null;
  return effects ?? [];
}

type Answer = Extract<GateEvent, { type: 'evaluated' | 'reserved' | 'recorded' }>;

/** False where nothing of the kind was asked for. */
function answered(state: GateState, event: Answer, now: Instant): boolean {
  const message = state.messages.get(event.seq);
  if (message === undefined) return false;
  switch (event.type) {
    case 'evaluated':
      return onEvaluated(state, message, event.outcome, now);
    case 'reserved':
      return onReserved(state, message, event.outcome, now);
    case 'recorded':
      return onRecorded(state, message, event.outcome, now);
  }
}

/** FAIL-CLOSED: an answer that was not asked for, or came twice, changes nothing. */
function unexpected(state: GateState, what: string): void {
  emit(state, { type: 'note', level: 'error', message: `an event came that nothing waited for: ${what}` });
}

function close(state: GateState, detail: string, now: Instant): void {
  if (state.closed !== null) return;
  state.closed = detail;
  state.closesAfterSseq = state.lastSseq;
  refuseHeld(state, now);
  failAllPending(state);
}
