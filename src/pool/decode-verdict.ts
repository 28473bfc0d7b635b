/**
 * Reads a worker's answer on the main thread. Strict: exactly the shapes of `decision/verdict.ts`, no field more, and
 * only what the job asked for. Anything else is null, and the lane that sent it is not to be trusted.
 */
import type { CounterTest, Obligation, RuleRef } from '../decision/obligation.ts';
import { DENY_REASONS } from '../decision/reason.ts';
import type { ServerReading, Verdict } from '../decision/verdict.ts';

type Fields = { readonly [key: string]: unknown };
type Check = (value: unknown) => boolean;
type Shape = {
  readonly required: { readonly [key: string]: Check };
  readonly optional: { readonly [key: string]: Check };
};

const isString: Check = (value) => typeof value === 'string';
const isTrue: Check = (value) => value === true;
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isOneOf = (words: readonly unknown[]): Check => {
  const set = new Set(words);
  return (value) => set.has(value);
};
const isListOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const isNullOr =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);

/** An object with all required fields, any of the optional ones, and none besides. */
function fits(shape: Shape, value: unknown): value is Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const fields = value as Fields;
  let required = 0;
  for (const key of Object.keys(fields)) {
    const must = Object.hasOwn(shape.required, key) ? shape.required[key] : undefined;
    if (must !== undefined) required += 1;
    const check = must ?? (Object.hasOwn(shape.optional, key) ? shape.optional[key] : undefined);
    if (check === undefined || !check(fields[key])) return false;
  }
  return required === Object.keys(shape.required).length;
}

const isShape = (required: Shape['required'], optional: Shape['optional'] = {}): Check => {
  const shape: Shape = { required, optional };
  return (value) => fits(shape, value);
};

/** Tells union members apart by one field. */
const isTagged =
  (tag: string, members: { readonly [word: string]: Check }): Check =>
  (value) => {
    const word = typeof value === 'object' && value !== null ? (value as Fields)[tag] : undefined;
    return typeof word === 'string' && Object.hasOwn(members, word) && (members[word] as Check)(value);
  };

/** A canonical spelling: that of a safe integer or of a JSON string. */
const isRequestId: Check = (value) =>
  typeof value === 'string' &&
  (/^(0|-?[1-9]\d{0,15})$/.test(value) || /^"(?:[^"\\]|\\[\s\S])*"$/.test(value));
const isDecimal: Check = (value) => typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value);
const isAmount: Check = (value) => isDecimal(value) && !(value as string).startsWith('-');

const isRuleRef = isShape({ tool: isString, rule: isString, index: isCount }, {
  policy: isString,
  part: isString,
} satisfies Partial<Record<keyof RuleRef, Check>>);
const isCounter = isShape({
  scope: isNullOr(isString),
  name: isString,
  window: isOneOf(['minute', 'hour', 'day']),
});
const isComparison = isShape({ op: isString, value: isDecimal });
const isMembership = isShape({ op: isString, values: isListOf(isDecimal) });
const isCounterTest = isTagged('op', {
  eq: isComparison,
  neq: isComparison,
  lt: isComparison,
  lte: isComparison,
  gt: isComparison,
  gte: isComparison,
  in: isMembership,
  not_in: isMembership,
} satisfies Record<CounterTest['op'], Check>);
const isObligation = isTagged('kind', {
  reserve: isShape(
    {
      kind: isString,
      counter: isCounter,
      amount: isAmount,
      bounds: isListOf(isShape({ op: isOneOf(['lt', 'lte']), value: isDecimal })),
      rule: isRuleRef,
    },
    { onDeny: isString },
  ),
  read: isShape(
    { kind: isString, counter: isCounter, test: isCounterTest, rule: isRuleRef },
    { onDeny: isString },
  ),
} satisfies Record<Obligation['kind'], Check>);
const isDenial = isShape(
  { reason: isOneOf(DENY_REASONS), message: isString },
  { rule: isRuleRef, onDeny: isString },
);
const isRuling = isTagged('effect', {
  allow: isShape({ effect: isString, obligations: isListOf(isObligation) }),
  deny: isShape({ effect: isString, denial: isDenial, earlier: isListOf(isObligation) }),
});

const isCallWith = (judged: Shape['required']): Check =>
  isShape(
    { kind: isString, id: isNullOr(isRequestId), tool: isString, ...judged },
    { unusualName: isTrue, task: isTrue, progressToken: isRequestId },
  );
const isRead = isCallWith({});
const isRuled = isCallWith({ ruling: isRuling });
const isUnannounced = isCallWith({ unannounced: isTrue });
const isSuspect = isCallWith({ suspect: isOneOf(['probation', 'quarantined']) });

const isRequest = isShape(
  { kind: isString, id: isRequestId, method: isString },
  { progressToken: isRequestId },
);
const isAgentRequest = isShape(
  { kind: isString, id: isRequestId, method: isString },
  { progressToken: isRequestId, client: isShape({ name: isNullOr(isString), version: isNullOr(isString) }) },
);
const isNotification = isShape(
  { kind: isString, method: isString },
  { cancels: isRequestId, progressToken: isRequestId },
);
const OTHER_MESSAGES = {
  malformed: isShape(
    {
      kind: isString,
      reason: isOneOf(['malformed_message', 'unknown_method']),
      code: isOneOf([-32700, -32600, -32601, -32602]),
      message: isString,
    },
    { id: isNullOr(isRequestId), tool: isString },
  ),
  request: isAgentRequest,
  notification: isNotification,
  response: isShape({ kind: isString, id: isRequestId }),
};
// FAIL-CLOSED: a call that was to be judged has either a ruling or the lane's reason for having none.
const isJudgedVerdict = isTagged('kind', {
  ...OTHER_MESSAGES,
  call: (value) => isRuled(value) || isSuspect(value) || isUnannounced(value),
} satisfies Record<Verdict['kind'], Check>);
const isReadVerdict = isTagged('kind', { ...OTHER_MESSAGES, call: isRead } satisfies Record<
  Verdict['kind'],
  Check
>);

/** Half-open ranges in ascending order, none empty, none overlapping. */
const isCuts: Check = (value) => {
  if (!Array.isArray(value)) return false;
  let end = 0;
  for (const cut of value as unknown[]) {
    if (!Array.isArray(cut) || cut.length !== 2) return false;
    const [from, to] = cut as [unknown, unknown];
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) return false;
    if ((from as number) < end || (to as number) <= (from as number)) return false;
    end = to as number;
  }
  return true;
};
const isReading = isTagged('kind', {
  response: isShape(
    { kind: isString, id: isRequestId, outcome: isOneOf(['result', 'error', 'input_required']) },
    {
      listing: isShape({
        names: isListOf(isString),
        tools: isListOf(
          isShape({ name: isString, annotations: isNullOr(isString), inputSchema: isNullOr(isString) }),
        ),
        cuts: isCuts,
        hidden: isCount,
      }),
      nextCursor: isString,
    },
  ),
  request: isRequest,
  notification: isNotification,
  malformed: isShape({ kind: isString, message: isString }, { id: isRequestId }),
} satisfies Record<ServerReading['kind'], Check>);

/** `kind`: what was asked for, since a ruling on a call that was only to be read is as wrong as none on one to judge. */
export function decodeVerdict(kind: 'judge' | 'read', text: string): Verdict | null {
  const plain = PLAIN_CALL.exec(text);
  if (plain === null || text.length > MAX_KNOWN_LENGTH) return decodeWhole(kind, text);
  const id = plain[1] as string;
  // Verdicts on calls differ in their ids and otherwise in little: what was read and checked once is known.
  const key = `${kind}${text.slice(plain[0].length)}`;
  const found = known.get(key);
  if (found !== undefined) return { ...found, id };
  const verdict = decodeWhole(kind, text);
  if (verdict === null || verdict.kind !== 'call') return verdict;
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(key, verdict);
  return verdict;
}

/** A call whose id is a number: no part of its text can be taken for another. */
const PLAIN_CALL = /^\{"kind":"call","id":"(0|-?[1-9]\d{0,15})"(?=,"tool":)/;
const MAX_KNOWN = 512;
const MAX_KNOWN_LENGTH = 4096;
const known = new Map<string, Extract<Verdict, { kind: 'call' }>>();

function decodeWhole(kind: 'judge' | 'read', text: string): Verdict | null {
  const value = parsed(text);
  return (kind === 'judge' ? isJudgedVerdict : isReadVerdict)(value) ? (value as Verdict) : null;
}

/** The same verdict on another call: all but the id is known to be right. Null where the id is none. */
export function verdictAgain(known: CallVerdict, id: string): CallVerdict | null {
  const { tool, ruling } = known;
  if (ruling === undefined || !(INTEGER_ID.test(id) || isRequestId(id))) return null;
  return { kind: 'call', id, tool, ruling };
}

export type CallVerdict = Extract<Verdict, { kind: 'call' }>;
/** Most ids: canonical, and with so few digits always safe. */
const INTEGER_ID = /^(?:0|-?[1-9]\d{0,14})$/;

/** `length`: of the message in bytes; nothing beyond it can be cut. */
export function decodeReading(text: string, length: number): ServerReading | null {
  const value = parsed(text);
  if (!isReading(value)) return null;
  const reading = value as ServerReading;
  const cuts = reading.kind === 'response' ? (reading.listing?.cuts ?? []) : [];
  return (cuts.at(-1)?.[1] ?? 0) <= length ? reading : null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
