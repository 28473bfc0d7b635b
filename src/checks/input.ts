/** A call as checks see it, on its way into the sandbox: JSON, and apart from it the numbers that JSON there would round. */
import { ExactNumber, type JsonValue } from '../decision/value.ts';
import type { CheckInput } from './sandbox.ts';

type Place = readonly [path: readonly (string | number)[], digits: string];

/** `exact`: JSON of a list of paths and digits. */
export function encodeInput({ args, tool, server, session, nowMs }: CheckInput): {
  readonly json: string;
  readonly exact: string;
} {
  const places: Place[] = [];
  const plain = (value: JsonValue, path: (string | number)[]): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof ExactNumber) {
      places.push([[...path], value.decimal.toString()]);
      return null;
    }
    if (Array.isArray(value))
      return (value as readonly JsonValue[]).map((item, i) => plain(item, [...path, i]));
    const object = value as { readonly [key: string]: JsonValue };
    const copy = Object.create(null) as { [key: string]: unknown };
    for (const key in object) copy[key] = plain(object[key] as JsonValue, [...path, key]);
    return copy;
  };
  const json = JSON.stringify({
    args: plain(args, ['args']),
    tool: {
      name: tool.name,
      annotations: tool.annotations === null ? null : plain(tool.annotations, ['tool', 'annotations']),
    },
    server,
    session: {
      id: session.id,
      client: { name: session.clientName, version: session.clientVersion },
      startedMs: session.startedMs,
    },
    nowMs,
  });
  return { json, exact: places.length === 0 ? '[]' : JSON.stringify(places) };
}
