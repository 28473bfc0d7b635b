/**
 * What a message from the agent is, read once and strictly. What comes out is exactly what every reader of the same
 * bytes makes of them; whatever could be read two ways comes out as `malformed`. Never throws.
 */
import { type JsonObject, type JsonValue, kindOf } from '../decision/value.ts';
import type { MalformedMessage, RequestId, Verdict } from '../decision/verdict.ts';
import { idOf, META_KEYS, PARAM_KEYS, readId, refuseLookAlike, TOP_KEYS } from './envelope.ts';
import { decode, JsonFault, JsonReader, SeenKeys } from './json.ts';
import type { ReadLimits } from './limits.ts';
import { CLIENT_NOTIFICATIONS, CLIENT_REQUESTS } from './methods.ts';

export type AgentCall = Omit<Extract<Verdict, { kind: 'call' }>, 'ruling' | 'suspect' | 'unusualName'> & {
  readonly args: JsonObject;
};

export type AgentReading = AgentCall | Exclude<Verdict, { kind: 'call' }>;

const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;
const NO_ARGUMENTS: JsonObject = Object.freeze(Object.create(null));

/** The members of a message, before anything is made of them. */
type Envelope = {
  keys: number;
  id: RequestId | null | undefined;
  jsonrpc?: JsonValue;
  method?: JsonValue;
  params?: JsonValue;
  result?: JsonValue;
  error?: JsonValue;
};

export function readAgentMessage(bytes: Uint8Array, limits: ReadLimits): AgentReading {
  let envelope: Envelope;
  try {
    const reader = new JsonReader(decode(bytes));
    const kind = reader.peek();
    if (kind !== 'object') {
      const what =
        kind === 'list'
          ? 'a JSON-RPC batch (MCP removed batches in 2025-06-18); send each message on a line of its own'
          : 'no JSON object';
      return malformed(kind === 'list' ? INVALID_REQUEST : PARSE_ERROR, `The message is ${what}.`, null);
    }
    envelope = readEnvelope(reader);
    reader.end();
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    return malformed(
      PARSE_ERROR,
      `The message holds ${error.message}. Send one JSON-RPC 2.0 object a line.`,
      null,
    );
  }
  try {
    return classify(envelope, limits);
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    return malformed(INVALID_REQUEST, `The message holds ${error.message}.`, errorId(envelope));
  }
}

function readEnvelope(reader: JsonReader): Envelope {
  const envelope: Envelope = { keys: 0, id: undefined };
  const seen = new SeenKeys();
  reader.members((key) => {
    seen.add(key);
    refuseLookAlike(key, TOP_KEYS, 'the message');
    if (key === 'id') {
      reader.space();
      envelope.id = readId(reader) ?? null;
    } else if (
      key === 'jsonrpc' ||
      key === 'method' ||
      key === 'params' ||
      key === 'result' ||
      key === 'error'
    )
      envelope[key] = reader.value();
    else reader.value();
  });
  envelope.keys = seen.size;
  return envelope;
}

/** Whom to tell: null where an id was given that is none, nothing where none was to be answered. */
function errorId(envelope: Envelope): RequestId | null | undefined {
  const isAnswer = envelope.result !== undefined || envelope.error !== undefined;
  // One that is a request as well is answered: whoever sent it may wait.
  if (isAnswer && envelope.method === undefined) return undefined;
  if (envelope.id !== undefined) return envelope.id;
  return envelope.method === undefined ? null : undefined;
}

function classify(envelope: Envelope, limits: ReadLimits): AgentReading {
  const { id, method, params, result, error } = envelope;
  const refuse = (code: number, message: string): MalformedMessage =>
    malformed(code, message, errorId(envelope));
  if (envelope.jsonrpc !== '2.0') return refuse(INVALID_REQUEST, 'The member "jsonrpc" must be "2.0".');
  if (id === null)
    return refuse(
      INVALID_REQUEST,
      'The id must be a string of at most 1024 characters or a whole number within ±(2^53 − 1), written without sign, fraction or exponent.',
    );
  if (result !== undefined || error !== undefined) {
    if (method !== undefined || params !== undefined || (result !== undefined && error !== undefined))
      return refuse(
        INVALID_REQUEST,
        'The message is a request and an answer, or an answer of two kinds, at once.',
      );
    if (id === undefined) return refuse(INVALID_REQUEST, 'An answer must carry the id of what it answers.');
    if (kindOf(result ?? error ?? null) !== 'object')
      return refuse(INVALID_REQUEST, 'The result or error of an answer must be an object.');
    return { kind: 'response', id };
  }
  if (typeof method !== 'string') return refuse(INVALID_REQUEST, 'The member "method" must be a string.');
  if (params !== undefined && kindOf(params) !== 'object')
    return refuse(INVALID_PARAMS, `The member "params" must be an object, not ${article(params)}.`);
  const fields = (params ?? NO_ARGUMENTS) as JsonObject;
  const extra = limits.extraMethods?.has(method) === true;
  if (!extra && !CLIENT_REQUESTS.has(method) && !CLIENT_NOTIFICATIONS.has(method))
    return {
      kind: 'malformed',
      reason: 'unknown_method',
      code: METHOD_NOT_FOUND,
      message: 'No MCP revision defines this method for a client, so it is not passed on.',
      ...(id === undefined ? {} : { id }),
    };
  for (const key in fields) refuseLookAlike(key, PARAM_KEYS, 'params');
  const meta = fields['_meta'];
  if (meta !== undefined && kindOf(meta) !== 'object')
    return refuse(INVALID_PARAMS, `The member "_meta" must be an object, not ${article(meta)}.`);
  if (meta !== undefined) for (const key in meta as JsonObject) refuseLookAlike(key, META_KEYS, '_meta');
  const given = (meta as JsonObject | undefined)?.['progressToken'];
  const token = idOf(given);
  if (given !== undefined && token === undefined)
    return refuse(INVALID_PARAMS, 'The progress token must be a string or a whole number.');

  if (method === 'tools/call') return readCall(id ?? null, fields, token, refuse);
  if (id !== undefined) {
    if (!extra && !CLIENT_REQUESTS.has(method))
      return refuse(INVALID_REQUEST, 'This method is a notification: it must not carry an id.');
    return {
      kind: 'request',
      id,
      method,
      ...(token === undefined ? {} : { progressToken: token }),
      ...(method === 'initialize' ? { client: clientOf(fields['clientInfo']) } : {}),
    };
  }
  if (!extra && !CLIENT_NOTIFICATIONS.has(method))
    return refuse(INVALID_REQUEST, 'This method is a request: it must carry an id.');
  return readNotification(method, fields, refuse);
}

const MAX_CLIENT_TEXT = 256;

function clientOf(info: JsonValue | undefined): { name: string | null; version: string | null } {
  const fields = info !== undefined && kindOf(info) === 'object' ? (info as JsonObject) : NO_ARGUMENTS;
  const text = (value: JsonValue | undefined): string | null =>
    typeof value === 'string' && value.length <= MAX_CLIENT_TEXT ? value : null;
  return { name: text(fields['name']), version: text(fields['version']) };
}

function readCall(
  id: RequestId | null,
  params: JsonObject,
  token: RequestId | undefined,
  refuse: (code: number, message: string) => MalformedMessage,
): AgentReading {
  const { name, arguments: args, task } = params;
  if (typeof name !== 'string' || name === '')
    return refuse(INVALID_PARAMS, 'The member "name" of a tool call must be a string that is not empty.');
  if (args !== undefined && kindOf(args) !== 'object')
    return {
      ...refuse(
        INVALID_PARAMS,
        `The arguments of a tool call must be an object, not ${article(args)}; leave them out where there are none.`,
      ),
      tool: name,
    };
  if (task !== undefined && kindOf(task) !== 'object')
    return {
      ...refuse(INVALID_PARAMS, `The member "task" must be an object, not ${article(task)}.`),
      tool: name,
    };
  return {
    kind: 'call',
    id,
    tool: name,
    args: (args ?? NO_ARGUMENTS) as JsonObject,
    ...(task === undefined ? {} : { task: true as const }),
    ...(token === undefined ? {} : { progressToken: token }),
  };
}

function readNotification(
  method: string,
  params: JsonObject,
  refuse: (code: number, message: string) => MalformedMessage,
): AgentReading {
  if (method === 'notifications/cancelled') {
    const cancels = idOf(params['requestId']);
    // In 2025-11-25 a task is cancelled by `tasks/cancel`, and this notification may then name no request.
    if (cancels === undefined) return refuse(INVALID_PARAMS, 'A cancellation must name the id of a request.');
    return { kind: 'notification', method, cancels };
  }
  if (method === 'notifications/progress') {
    const token = idOf(params['progressToken']);
    if (token === undefined)
      return refuse(INVALID_PARAMS, 'A progress notification must carry a progress token.');
    return { kind: 'notification', method, progressToken: token };
  }
  return { kind: 'notification', method };
}

function article(value: JsonValue): string {
  const kind = kindOf(value);
  return kind === 'null' ? 'null' : kind === 'object' ? 'an object' : `a ${kind}`;
}

function malformed(code: number, message: string, id: RequestId | null | undefined): MalformedMessage {
  return {
    kind: 'malformed',
    reason: 'malformed_message',
    code,
    message,
    ...(id === undefined ? {} : { id }),
  };
}
