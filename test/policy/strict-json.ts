/** JSON text to the values that judging works on: exact numbers, objects without prototype. For tests only. */
import { type JsonObject, type JsonValue, numberFromLiteral } from '../../src/decision/value.ts';

const TOKEN = /\s*(?:([{}[\],:])|("(?:[^"\\]|\\.)*")|(-?\d[\d.eE+-]*)|(true|false|null))/uy;

export function readJson(text: string): JsonValue {
  let at = 0;
  const next = (): string => {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) throw new SyntaxError(`not JSON at ${at}`);
    at = TOKEN.lastIndex;
    return match[0].trim();
  };
  const peek = (): string => {
    const before = at;
    const token = next();
    at = before;
    return token;
  };
  const value = (): JsonValue => {
    const token = next();
    if (token === '{') return object();
    if (token === '[') return list();
    if (token.startsWith('"')) return JSON.parse(token) as string;
    if (token === 'true' || token === 'false') return token === 'true';
    return token === 'null' ? null : numberFromLiteral(token);
  };
  const list = (): JsonValue[] => {
    const items: JsonValue[] = [];
    if (peek() === ']') next();
    else
      do items.push(value());
      while (next() === ',');
    return items;
  };
  const object = (): JsonObject => {
    const made = Object.create(null) as { [key: string]: JsonValue };
    if (peek() === '}') next();
    else
      do {
        const key = JSON.parse(next()) as string;
        next();
        made[key] = value();
      } while (next() === ',');
    return made;
  };
  return value();
}

export function readArgs(text: string | undefined): JsonObject {
  return readJson(text ?? '{}') as JsonObject;
}
