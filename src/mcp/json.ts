/**
 * A strict JSON reader. It refuses whatever two parsers could read differently: invalid UTF-8, a byte order mark,
 * lone surrogates, repeated keys, raw control characters, and a carriage return anywhere but at the very end (some
 * readers take it for a line's end). Numbers keep their digits. Linear in the length of the text; the depth is
 * bounded, so the stack is.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { type JsonObject, type JsonValue, numberFromLiteral } from '../decision/value.ts';

/** Deepest nesting of lists and objects. */
export const MAX_DEPTH = 2_500;

/** Why a text is no JSON that all readers agree on. Caught by the readers of this room, never seen outside it. */
export class JsonFault extends Error {}

export function fault(message: string): never {
  throw new JsonFault(message);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const MINUS = 0x2d;
const RETURN = 0x0d;

// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them in strings
const STRING_PLAIN = /[^"\\\u0000-\u001f]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: their absence makes strings quick to read
const CONTROL = /[\u0000-\u001f]/;
const HEX4 = /[0-9a-fA-F]{4}/y;
// With the u flag the two halves of a pair are one character, so this finds only the lone ones.
const LONE_SURROGATE = /\p{Surrogate}/u;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/**
 * The text of a message.
 * @throws JsonFault where it is not UTF-8, or holds a byte order mark.
 */
export function decode(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length === 0) fault('an empty message');
  let text: string;
  if (isAscii(buffer)) text = buffer.toString('latin1');
  else {
    if (!isUtf8(buffer)) fault('bytes that are not UTF-8');
    text = buffer.toString('utf8');
    if (text.charCodeAt(0) === 0xfeff) fault('a byte order mark');
  }
  return text;
}

/** The keys an object was seen to have: most objects of the protocol have few, and then comparing beats a hash table. */
export class SeenKeys {
  readonly #keys: string[] = [];
  #more: Set<string> | undefined;

  get size(): number {
    return this.#more?.size ?? this.#keys.length;
  }

  /** @throws JsonFault where the key was seen before. */
  add(key: string): void {
    if (this.#more !== undefined ? this.#more.has(key) : this.#keys.includes(key))
      fault('a key that is there twice');
    if (this.#more !== undefined) this.#more.add(key);
    else if (this.#keys.push(key) > FEW_KEYS) this.#more = new Set(this.#keys);
  }
}

const FEW_KEYS = 8;
const MAX_EXPECTED = 64;
const MAX_EXPECTED_LENGTH = 40;
const PLAIN_KEY = /^[\w$.-]+$/;
const expectedKeys: string[] = [];

/**
 * An object without inherited properties. One made by `Object.create(null)` is a hash table from the start, which
 * costs several times as much to fill and to read.
 */
const Bare = function Bare() {} as unknown as new () => { [key: string]: JsonValue };
Bare.prototype = Object.freeze(Object.create(null));

export class JsonReader {
  readonly text: string;
  /** Index of the next character. */
  at = 0;
  #depth = 0;
  /** Without control characters a string ends at the next quote, unless a backslash comes first. */
  readonly #clean: boolean;
  #nextBackslash = -1;
  /** How many keys were read so far: the place in {@link expectedKeys}. */
  #keys = 0;

  /** @throws JsonFault where the text holds a carriage return before its end. */
  constructor(text: string) {
    this.text = text;
    this.#clean = !CONTROL.test(text);
    if (this.#clean) return;
    const cr = text.indexOf('\r');
    if (cr >= 0 && cr < text.length - 1)
      fault('a carriage return inside the message, which some readers take for its end');
  }

  space(): void {
    for (;;) {
      const c = this.text.charCodeAt(this.at);
      if (c === 0x20 || c === 0x09 || c === 0x0a || c === RETURN) this.at += 1;
      else return;
    }
  }

  /** The kind of the next value by its first character; nothing is read. */
  peek(): 'object' | 'list' | 'string' | 'number' | 'word' {
    this.space();
    const c = this.text.charCodeAt(this.at);
    if (c === OPEN_OBJECT) return 'object';
    if (c === OPEN_LIST) return 'list';
    if (c === QUOTE) return 'string';
    if (c === MINUS || (c >= 0x30 && c <= 0x39)) return 'number';
    return 'word';
  }

  /** Nothing but white space may follow. */
  end(): void {
    this.space();
    if (this.at < this.text.length) this.#unexpected('the end of the message');
  }

  #unexpected(expected: string): never {
    const found =
      this.at < this.text.length ? `an unexpected character at position ${this.at}` : 'the end of the text';
    return fault(`${found} where ${expected} belongs`);
  }

  #enter(): void {
    this.at += 1;
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) fault(`lists and objects nested more than ${MAX_DEPTH} deep`);
  }

  /** Reads an object; `member` is called after each colon and must read the value. Keys may repeat: that is the caller's to see. */
  members(member: (key: string) => void): void {
    if (this.peek() !== 'object') this.#unexpected('an object');
    this.#enter();
    this.space();
    if (this.text.charCodeAt(this.at) === CLOSE_OBJECT) {
      this.at += 1;
      this.#depth -= 1;
      return;
    }
    for (;;) {
      this.space();
      if (this.text.charCodeAt(this.at) !== QUOTE) this.#unexpected('a key in quotes');
      const key = this.#key();
      this.space();
      if (this.text.charCodeAt(this.at) !== COLON) this.#unexpected('a colon');
      this.at += 1;
      member(key);
      this.space();
      const c = this.text.charCodeAt(this.at);
      this.at += 1;
      if (c === COMMA) continue;
      if (c === CLOSE_OBJECT) break;
      this.at -= 1;
      this.#unexpected('a comma or the end of the object');
    }
    this.#depth -= 1;
  }

  /**
   * A key in quotes. The keys of one message mostly are those of the last, in the same order: where the text holds
   * exactly the key that stood at this place before, that string is taken, which has its hash already.
   */
  #key(): string {
    const place = this.#keys++;
    const expected = expectedKeys[place];
    if (expected !== undefined) {
      const end = this.at + 1 + expected.length;
      if (this.text.charCodeAt(end) === QUOTE && this.text.startsWith(expected, this.at + 1)) {
        this.at = end + 1;
        return expected;
      }
    }
    const key = this.string();
    // INVARIANT: what is expected holds neither quotes nor backslashes, so where it stands in a text it is a key's spelling.
    if (place < MAX_EXPECTED && key.length <= MAX_EXPECTED_LENGTH && PLAIN_KEY.test(key))
      expectedKeys[place] = key;
    return key;
  }

  /** Reads a list; `element` must read one value. */
  elements(element: () => void): void {
    if (this.peek() !== 'list') this.#unexpected('a list');
    this.#enter();
    this.space();
    if (this.text.charCodeAt(this.at) === CLOSE_LIST) {
      this.at += 1;
      this.#depth -= 1;
      return;
    }
    for (;;) {
      this.space();
      element();
      this.space();
      const c = this.text.charCodeAt(this.at);
      this.at += 1;
      if (c === COMMA) continue;
      if (c === CLOSE_LIST) break;
      this.at -= 1;
      this.#unexpected('a comma or the end of the list');
    }
    this.#depth -= 1;
  }

  /** Reads any value. @throws JsonFault on a key that is there twice. */
  value(): JsonValue {
    switch (this.peek()) {
      case 'object':
        return this.object();
      case 'list': {
        const list: JsonValue[] = [];
        this.elements(() => list.push(this.value()));
        return list;
      }
      case 'string':
        return this.string();
      case 'number':
        return this.number();
      case 'word':
        return this.#word();
    }
  }

  object(): JsonObject {
    const object = new Bare();
    this.members((key) => {
      // INVARIANT: nothing is inherited, so `in` sees only what this text put there.
      if (key in object) fault('a key that is there twice');
      object[key] = this.value();
    });
    return object;
  }

  /** Reads over any value: its grammar is checked, nothing is kept. */
  skip(): void {
    switch (this.peek()) {
      case 'object':
        return this.members(() => this.skip());
      case 'list':
        return this.elements(() => this.skip());
      case 'string':
        this.string();
        return;
      case 'number':
        this.literal();
        return;
      case 'word':
        this.#word();
    }
  }

  #word(): null | boolean {
    const { text, at } = this;
    if (text.startsWith('true', at)) {
      this.at += 4;
      return true;
    }
    if (text.startsWith('false', at)) {
      this.at += 5;
      return false;
    }
    if (text.startsWith('null', at)) {
      this.at += 4;
      return null;
    }
    return this.#unexpected('a value');
  }

  /** The digits of a number as they stand. */
  literal(): string {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (match === null) return this.#unexpected('a number');
    this.at = NUMBER.lastIndex;
    return match[0];
  }

  number(): JsonValue {
    try {
      return numberFromLiteral(this.literal());
    } catch (error) {
      if (error instanceof RangeError) fault('a number too large or too small to be compared exactly');
      throw error;
    }
  }

  string(): string {
    const { text } = this;
    const start = this.at + 1;
    if (this.#clean) {
      if (this.#nextBackslash < start) {
        const next = text.indexOf('\\', start);
        this.#nextBackslash = next < 0 ? Number.POSITIVE_INFINITY : next;
      }
      const quote = text.indexOf('"', start);
      if (quote < 0) fault('a string without its closing quote');
      if (quote < this.#nextBackslash) {
        this.at = quote + 1;
        return text.slice(start, quote);
      }
    }
    return this.#stringWithEscapes(start);
  }

  #stringWithEscapes(start: number): string {
    const { text } = this;
    const parts: string[] = [];
    let escaped = false;
    this.at = start;
    for (;;) {
      STRING_PLAIN.lastIndex = this.at;
      STRING_PLAIN.exec(text);
      const end = STRING_PLAIN.lastIndex;
      if (end > this.at) parts.push(text.slice(this.at, end));
      this.at = end + 1;
      const c = text.charCodeAt(end);
      if (c === QUOTE) break;
      if (c !== BACKSLASH)
        fault(
          end < text.length ? 'a control character inside a string' : 'a string without its closing quote',
        );
      const letter = text.charAt(this.at);
      this.at += 1;
      if (letter === 'u') {
        HEX4.lastIndex = this.at;
        if (!HEX4.test(text)) fault('a \\u escape without four hexadecimal digits');
        parts.push(String.fromCharCode(Number.parseInt(text.slice(this.at, this.at + 4), 16)));
        this.at += 4;
        escaped = true;
        continue;
      }
      const plain = ESCAPES[letter];
      if (plain === undefined) fault('an escape that JSON does not know');
      parts.push(plain);
    }
    const value = parts.length === 1 ? (parts[0] ?? '') : parts.join('');
    // Raw surrogates cannot be: the bytes are UTF-8. Escaped halves can.
    if (escaped && LONE_SURROGATE.test(value)) fault('half of a surrogate pair');
    return value;
  }
}
