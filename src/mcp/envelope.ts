/** What both directions share: ids, and keys that a lenient reader takes for the protocol's. */
import { foldName } from '../decision/fold.ts';
import type { JsonValue } from '../decision/value.ts';
import type { RequestId } from '../decision/verdict.ts';
import { fault, type JsonReader } from './json.ts';
import { MAX_ID_LENGTH } from './limits.ts';

export const TOP_KEYS = wordsOf('jsonrpc', 'id', 'method', 'params', 'result', 'error');
export const PARAM_KEYS = wordsOf(
  'name',
  'arguments',
  'task',
  '_meta',
  'uri',
  'cursor',
  'progressToken',
  'requestId',
  'taskId',
  'inputResponses',
  'requestState',
  'protocolVersion',
);
export const META_KEYS = wordsOf('progressToken');

type Words = { readonly exact: ReadonlySet<string>; readonly byFolded: ReadonlyMap<string, string> };

export function wordsOf(...words: readonly string[]): Words {
  return { exact: new Set(words), byFolded: new Map(words.map((word) => [foldName(word), word])) };
}

/**
 * FAIL-CLOSED: some readers match keys whatever their case, so `Name` beside or instead of `name` is a doubt.
 * @throws JsonFault
 */
export function refuseLookAlike(key: string, words: Words, where: string): void {
  if (words.exact.has(key)) return;
  const word = words.byFolded.get(foldName(key));
  if (word !== undefined && word !== key)
    fault(`a key in ${where} that some readers take for ${JSON.stringify(word)}, but is spelt otherwise`);
}

const INTEGER = /^(?:0|-?[1-9][0-9]{0,15})$/;

/**
 * Reads an id: a string, or a whole number that every reader holds unchanged and spells one way.
 * `undefined`: there is a value, and it is no such id.
 */
export function readId(reader: JsonReader): RequestId | undefined {
  const kind = reader.peek();
  if (kind === 'string') {
    const id = reader.string();
    return id.length <= MAX_ID_LENGTH ? JSON.stringify(id) : undefined;
  }
  if (kind === 'number') {
    const literal = reader.literal();
    return INTEGER.test(literal) && Number.isSafeInteger(Number(literal)) ? literal : undefined;
  }
  reader.skip();
  return undefined;
}

/** The canonical spelling of an id that was read as a value; undefined where it is none. */
export function idOf(value: JsonValue | undefined): RequestId | undefined {
  if (typeof value === 'string') return value.length <= MAX_ID_LENGTH ? JSON.stringify(value) : undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  return undefined;
}
