/** The server's side. Its messages are read in any order and acted on strictly in the order they came. */
import type { ServerReading } from '../decision/verdict.ts';
import { failAllPending, failPending, finish, heard, pendingById, settle } from './pending.ts';
import type { Instant } from './protocol.ts';
import { clip, UPSTREAM_UNAVAILABLE } from './refusals.ts';
import { emit, type GateState, idKey, type Message, type ServerArrival } from './state.ts';

const LIST = 'tools/list';
const PROGRESS = 'notifications/progress';

type Response = Extract<ServerReading, { kind: 'response' }>;
type Request = Extract<ServerReading, { kind: 'request' }>;
type Notification = Extract<ServerReading, { kind: 'notification' }>;

export function onServerMessage(state: GateState, sseq: number, now: Instant): void {
  if (!arrives(state, sseq)) return;
  if (state.closed !== null)
    arrived(state, sseq, { kind: 'failed', detail: 'the server was gone already' }, now);
  else emit(state, { type: 'read_server', sseq, policy: state.policy.handle });
}

export function onServerOversize(state: GateState, sseq: number, maxBytes: number, now: Instant): void {
  if (!arrives(state, sseq)) return;
  arrived(state, sseq, { kind: 'oversize', detail: `a message longer than ${maxBytes} bytes` }, now);
}

function arrives(state: GateState, sseq: number): boolean {
  if (sseq === state.lastSseq + 1) {
    state.lastSseq = sseq;
    return true;
  }
  emit(state, { type: 'note', level: 'error', message: `server message ${sseq} came out of turn` });
  return false;
}

/** False where nothing of the kind was asked for. */
export function arrived(state: GateState, sseq: number, arrival: ServerArrival, now: Instant): boolean {
  if (sseq < state.nextSseq || sseq > state.lastSseq || state.serverReadings.has(sseq)) return false;
  if (sseq !== state.nextSseq) {
    state.serverReadings.set(sseq, arrival);
    return true;
  }
  act(state, sseq, arrival, now);
  state.nextSseq += 1;
  while (state.serverReadings.size > 0) {
    const next = state.serverReadings.get(state.nextSseq);
    if (next === undefined) break;
    state.serverReadings.delete(state.nextSseq);
    act(state, state.nextSseq, next, now);
    state.nextSseq += 1;
  }
  failAllPending(state);
  return true;
}

function act(state: GateState, sseq: number, arrival: ServerArrival, now: Instant): void {
  switch (arrival.kind) {
    case 'response':
      return onResponse(state, sseq, arrival);
    case 'request':
      return onRequest(state, sseq, arrival);
    case 'notification':
      return onNotification(state, sseq, arrival, now);
    case 'malformed':
      return onNonsense(state, sseq, arrival.message, arrival.id);
    case 'failed':
    case 'oversize':
      return onNonsense(state, sseq, arrival.detail, undefined);
  }
}

function onResponse(state: GateState, sseq: number, response: Response): void {
  const message = pendingById(state, response.id);
  if (message === undefined) {
    discard(state, sseq, 'it answers no request that is pending');
    return;
  }
  settle(state, message, response.outcome === 'result' ? 'commit' : 'rollback');
  relayAnswer(state, sseq, response, message);
  finish(state, message);
}

function relayAnswer(state: GateState, sseq: number, { listing }: Response, message: Message): void {
  if (listing === undefined) {
    emit(state, { type: 'relay', sseq });
    return;
  }
  // A dry run changes nothing that the agent sees.
  emit(state, state.options.mode === 'dry_run' ? { type: 'relay', sseq } : { type: 'relay', sseq, listing });
  if (message.method !== LIST || state.announced.add(listing.names)) return;
  const text = 'the server lists more tools than are remembered; those with unusual names may be denied';
  emit(state, { type: 'note', level: 'warn', message: text });
}

function onRequest(state: GateState, sseq: number, { id, progressToken }: Request): void {
  const key = idKey(id);
  if (state.serverRequests.has(key)) {
    discard(state, sseq, 'a request of the server with this id is pending already');
    return;
  }
  if (state.serverRequests.size >= state.options.maxPending) {
    discard(state, sseq, `the agent already owes the server ${state.options.maxPending} answers`);
    return;
  }
  state.serverRequests.set(key, { id, progressToken: progressToken ?? null });
  emit(state, { type: 'relay', sseq });
}

function onNotification(state: GateState, sseq: number, notification: Notification, now: Instant): void {
  const { method, progressToken, cancels } = notification;
  if (method === PROGRESS && progressToken !== undefined) heard(state, progressToken, now);
  if (cancels !== undefined) {
    const key = idKey(cancels);
    if (state.serverRequests.get(key)?.id === cancels) state.serverRequests.delete(key);
  }
  emit(state, { type: 'relay', sseq });
}

function onNonsense(state: GateState, sseq: number, why: string, id: string | undefined): void {
  const message = id === undefined ? undefined : pendingById(state, id);
  if (message !== undefined) {
    const text = `the server answered nonsense (${clip(why)}); whether the request was carried out is unknown, so look before you repeat it`;
    failPending(state, message, UPSTREAM_UNAVAILABLE, 'upstream_unavailable', text);
  }
  discard(state, sseq, `it cannot be used: ${clip(why)}`);
}

function discard(state: GateState, sseq: number, why: string): void {
  emit(state, { type: 'discard', sseq, why });
}
