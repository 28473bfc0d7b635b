/** What the gate itself has against a message, in words that a model or an operator can act on. Never an argument's value. */
import type { Culprit, Obligation } from '../decision/obligation.ts';
import type { DenyReason } from '../decision/reason.ts';
import type { Refusal } from './decide.ts';
import type { ReserveOutcome } from './ports.ts';
import type { Failure } from './state.ts';

/** JSON-RPC error codes. Those from -32000 to -32019 are free to choose; the first two are what the SDKs call alike. */
export const INVALID_REQUEST = -32600;
export const INVALID_PARAMS = -32602;
export const INTERNAL_ERROR = -32603;
export const UPSTREAM_UNAVAILABLE = -32000;
export const UPSTREAM_TIMEOUT = -32001;
export const DAEMON_UNAVAILABLE = -32004;

const MAX_TEXT = 200;
const MAX_TIME_MS = 8.64e15;

export const CANCELLED: Refusal = {
  reason: 'cancelled',
  message: 'the agent cancelled the call before it was sent to the server',
};
export const SHUTTING_DOWN: Refusal = {
  reason: 'daemon_unavailable',
  message: 'Portcullis is shutting down and takes no new requests; nothing was sent to the server',
};
export const QUARANTINED: Refusal = {
  reason: 'quarantined',
  message:
    'evaluations of this tool failed too often of late, so calls of it are denied without being judged; other tools work; try again later, or tell the operator',
};
export const UNUSUAL_NAME: Refusal = {
  reason: 'malformed_message',
  message:
    "the tool's name holds characters that the MCP specification does not allow and the server has not listed exactly this name; list the tools first (tools/list), or have the operator name it in the policy",
};
export const ID_IN_USE =
  'the id of this request is that of another one in flight; give every request an id of its own';
export const LOG_UNAVAILABLE: Refusal = {
  reason: 'log_unavailable',
  message:
    'the decision log cannot be written, so nothing is let through; tell the operator, or try again later',
};

export function tooManyPending(max: number): Refusal {
  const message = `the server already owes the answers to ${max} requests, which is the limit; wait for some of them, then try again`;
  return { reason: 'overload', message, final: true };
}

export function upstreamGone(detail: string): Refusal {
  const message = `the server is gone (${clip(detail)}); nothing more can be sent to it in this session`;
  return { reason: 'upstream_unavailable', message, final: true };
}

export function failureRefusal(failure: Failure, injected: boolean): Refusal {
  const rehearsed = injected ? ' (a rehearsed fault: the operator asked for it with --inject)' : '';
  const { reason, detail, culprit } = failure;
  const message = `${WHAT_FAILED[reason]}: ${clip(detail)}${whileJudging(culprit)}${rehearsed}`;
  if (culprit === undefined) return { reason, message };
  return { reason, message, ...culprit };
}

function whileJudging(culprit: Culprit | undefined): string {
  if (culprit === undefined) return '';
  const { policy, rule, part } = culprit.rule;
  const where = [
    ...(part === undefined ? [] : [part]),
    ...(policy === undefined ? [] : [`policy ${policy}`]),
  ];
  return `, while the rule ${JSON.stringify(clip(rule))}${where.length === 0 ? '' : ` (${where.join(', ')})`} was judged`;
}

const WHAT_FAILED: Readonly<Record<Failure['reason'], string>> = {
  evaluation_timeout: 'judging the call took too long',
  evaluation_error: 'the call could not be judged',
  evaluation_crash: 'the evaluator died while it judged the call',
  evaluation_out_of_memory: 'the evaluator ran out of memory while it judged the call',
  overload: 'too many calls wait to be judged; try again in a moment',
};

/** What stands against a call whose obligations were not discharged. `peeked`: they were those of rules before the one that denies. */
export function limitRefusal(
  outcome: Exclude<ReserveOutcome, { kind: 'reserved' }>,
  obligations: readonly Obligation[],
  nowMs: number,
  peeked: boolean,
): Refusal {
  if (outcome.kind === 'unavailable') return stateUnavailable(outcome.detail);
  const obligation = obligations[outcome.obligation];
  // FAIL-CLOSED: an answer about an obligation that was never asked about is no answer.
  if (obligation === undefined) return stateUnavailable('the counters answered for another call');
  const { rule, onDeny } = obligation;
  const { window, name } = obligation.counter;
  const isLimit = limits(obligation, obligations, peeked);
  const used = `${clip(outcome.used)} used`;
  const when = whenFree(outcome.retryAtMs, nowMs);
  const what = isLimit
    ? `its limit of ${boundsOf(obligation)} in one ${window} does not leave room for this call, with ${used}; ${when}`
    : `its condition on the counter ${quoted(name)} does not hold, with ${used} in this ${window}; ${when}`;
  const reason: DenyReason = isLimit ? 'limit_reached' : 'rule_denied';
  const message = `rule ${quoted(rule.rule)}: ${what}`;
  const refusal: Refusal = {
    reason,
    message: onDeny === undefined ? message : `${onDeny} (${message})`,
    rule,
  };
  return {
    ...refusal,
    ...(onDeny === undefined ? {} : { onDeny }),
    ...(isLimit ? { retryAtMs: outcome.retryAtMs } : {}),
  };
}

function stateUnavailable(detail: string): Refusal {
  return {
    reason: 'state_unavailable',
    message: `the counters behind this tool's limits cannot be read or written (${clip(detail)}); tell the operator, or try again later`,
  };
}

/**
 * A reserve is a limit, and so is an upper bound that is read where the same rule raises the counter, or that was
 * peeked at. Any other test of a counter is a rule's condition.
 */
function limits(obligation: Obligation, all: readonly Obligation[], peeked: boolean): boolean {
  if (obligation.kind === 'reserve') return true;
  if (obligation.test.op !== 'lt' && obligation.test.op !== 'lte') return false;
  if (peeked) return true;
  const { tool, index } = obligation.rule;
  return all.some(
    (other) => other.kind === 'reserve' && other.rule.tool === tool && other.rule.index === index,
  );
}

function boundsOf(obligation: Obligation): string {
  const bounds = obligation.kind === 'reserve' ? obligation.bounds : [obligation.test];
  const words = bounds.map((bound) => {
    const value = 'values' in bound ? '' : clip(bound.value);
    return bound.op === 'lt' ? `less than ${value}` : `at most ${value}`;
  });
  return words.join(' and ');
}

function whenFree(retryAtMs: number, nowMs: number): string {
  if (!(Math.abs(retryAtMs) <= MAX_TIME_MS)) return 'it is not known when the window turns';
  const seconds = Math.max(0, Math.ceil((retryAtMs - nowMs) / 1000));
  return `the counter starts anew at ${new Date(retryAtMs).toISOString()}, in ${seconds} seconds: try again then`;
}

function quoted(text: string): string {
  return JSON.stringify(clip(text));
}

export function clip(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}
