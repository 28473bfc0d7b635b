/**
 * One decision as one line of JSON. Built by hand, since every call pays for it: field names and order are fixed here,
 * free text alone goes through `JSON.stringify`. docs/decision-log.md and record.ts describe the same fields; tests compare.
 *
 * INVARIANT: whatever the decision holds, the result is one line of valid JSON. Never throws.
 */
import type { Decision } from '../decision/decision.ts';
import type { RuleRef } from '../decision/obligation.ts';

/** The format of a line: its first field. Raised when a field changes its meaning. */
export const RECORD_VERSION = 1;

/** An agent chooses tool names and ids, so what a record takes of any text is bounded, in UTF-16 units. */
export const MAX_TEXT_CHARS = 4096;
export const MAX_NAME_CHARS = 512;
const MAX_TIME_MS = 8.64e15;
/** Text that JSON writes as it is. */
const PLAIN = /^[ !#-[\]-~]*$/;
const INTEGER_ID = /^-?(?:0|[1-9]\d{0,15})$/;

export function decisionLine(d: Decision): string {
  let line =
    `{"v":${RECORD_VERSION},"id":${name(d.id)},"time":${time(d.timeMs)}${origin(d)}` +
    `,"request_id":${d.requestId === null ? 'null' : requestId(d.requestId)}${outcome(d)}`;
  if (d.wouldDeny !== undefined) line += `,"would_deny":${name(d.wouldDeny)}`;
  if (d.failure !== undefined) line += `,"failure":${name(d.failure)}`;
  if (d.injected === true) line += ',"injected":true';
  if (d.reservation !== undefined) line += `,"reservation":${name(d.reservation)}`;
  if (d.retryAtMs !== undefined) line += `,"retry_at":${time(d.retryAtMs)}`;
  return `${line},"queue_us":${whole(d.queueUs)},"evaluation_us":${whole(d.evaluationUs)},"total_us":${whole(d.totalUs)}}\n`;
}

// Most decisions differ from the one before in id, time and figures alone: the rest is spelt once.

type Origin = Pick<Decision, 'session' | 'server' | 'tool'>;
let lastOrigin: Origin | undefined;
let lastOriginText = '';

function origin(d: Decision): string {
  const last = lastOrigin;
  if (last !== undefined && last.tool === d.tool && last.session === d.session && last.server === d.server)
    return lastOriginText;
  lastOrigin = { session: d.session, server: d.server, tool: d.tool };
  lastOriginText = `,"session":${name(d.session)},"server":${name(d.server)},"tool":${d.tool === null ? 'null' : name(d.tool)}`;
  return lastOriginText;
}

type Outcome = Pick<
  Decision,
  'effect' | 'reason' | 'rule' | 'message' | 'policyDigest' | 'mode' | 'failMode'
>;
let lastOutcome: Outcome | undefined;
let lastOutcomeText = '';

function outcome(d: Decision): string {
  const last = lastOutcome;
  if (
    last !== undefined &&
    last.reason === d.reason &&
    last.message === d.message &&
    last.effect === d.effect &&
    last.rule === d.rule &&
    last.policyDigest === d.policyDigest &&
    last.mode === d.mode &&
    last.failMode === d.failMode
  )
    return lastOutcomeText;
  const { effect, reason, rule, message, policyDigest, mode, failMode } = d;
  lastOutcome = {
    effect,
    reason,
    message,
    policyDigest,
    mode,
    failMode,
    ...(rule === undefined ? {} : { rule }),
  };
  let text = `,"effect":"${effect === 'allow' ? 'allow' : 'deny'}","reason":${name(reason)}`;
  if (rule !== undefined) text += ruleText(rule);
  text +=
    `,"message":${cut(message, MAX_TEXT_CHARS)},"policy_digest":${name(policyDigest)}` +
    `,"mode":${name(mode)},"fail_mode":${name(failMode)}`;
  lastOutcomeText = text;
  return text;
}

function ruleText({ tool, rule, index, policy, part }: RuleRef): string {
  return (
    `,"rule":{"tool":${name(tool)},"name":${name(rule)},"index":${whole(index)}` +
    `${policy === undefined ? '' : `,"policy":${name(policy)}`}${part === undefined ? '' : `,"part":${name(part)}`}}`
  );
}

function name(value: string): string {
  return cut(value, MAX_NAME_CHARS);
}

function cut(value: string, max: number): string {
  if (value.length <= max) return PLAIN.test(value) ? `"${value}"` : JSON.stringify(value);
  return JSON.stringify(`${value.slice(0, max)}… (${value.length} in all)`);
}

/** An id arrives in JSON spelling and stands in the record as what it is: a number or a string. */
function requestId(spelling: string): string {
  if (INTEGER_ID.test(spelling)) return spelling;
  if (spelling.length <= MAX_NAME_CHARS) {
    try {
      const value: unknown = JSON.parse(spelling);
      if (typeof value === 'string') return JSON.stringify(value);
    } catch {
      // Not JSON: shown as the text it is.
    }
  }
  return name(spelling);
}

/** Whole microseconds; null for what was not measured. */
function whole(value: number): string {
  const rounded = Math.round(value);
  return Number.isSafeInteger(rounded) && rounded >= 0 ? String(rounded) : 'null';
}

let lastMs = Number.NaN;
let lastTime = '';

/** A burst of decisions shares its milliseconds. */
function time(ms: number): string {
  if (ms === lastMs) return lastTime;
  if (!(Math.abs(ms) <= MAX_TIME_MS)) return 'null';
  lastTime = `"${new Date(ms).toISOString()}"`;
  lastMs = ms;
  return lastTime;
}
