/**
 * A call as checks see it, on its way into the sandbox: JSON, and apart from it the numbers that JSON there would round.
 * What comes out is bounded, whatever an agent sends: the sandbox keeps room for that much and no more.
 */
import { ExactNumber, type JsonValue } from '../decision/value.ts';
import type { CheckInput } from './sandbox.ts';

/** Of the JSON, and of the exact numbers in it, which may have far more digits than their spelling. */
export const MAX_INPUT_BYTES = 2 * 1024 * 1024;
const MAX_EXACT_LENGTH = 256 * 1024;

type Key = string | number;
/** A number with its digits and whether it is whole, or what lies below. */
type Branch =
  | readonly [key: Key, digits: string, whole: 0 | 1]
  | readonly [key: Key, below: readonly Branch[]];

export type EncodedInput = { readonly json: string; readonly exact: string };

/** `exact`: JSON of the numbers' places, as a tree, so that it grows with the call and not with its depth. Null: too large. */
export function encodeInput({ args, tool, server, session, nowMs }: CheckInput): EncodedInput | null {
  let left = MAX_INPUT_BYTES;
  let exactLeft = MAX_EXACT_LENGTH;
  // Counted on the way, so that what is too large costs no more than what is not.
  const plain = (value: JsonValue, key: Key, branches: Branch[]): unknown => {
    left -= 2;
    if (typeof value === 'string') left -= value.length;
    if (left < 0 || exactLeft < 0) throw TOO_LARGE;
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof ExactNumber) {
      const digits = value.decimal.toString();
      branches.push([key, digits, value.decimal.exponent === 0 ? 1 : 0]);
      exactLeft -= digits.length;
      return null;
    }
    const below: Branch[] = [];
    let copy: unknown;
    if (Array.isArray(value)) {
      copy = (value as readonly JsonValue[]).map((item, i) => plain(item, i, below));
    } else {
      const object = value as { readonly [key: string]: JsonValue };
      const entries = Object.create(null) as { [key: string]: unknown };
      for (const name in object) {
        left -= name.length;
        entries[name] = plain(object[name] as JsonValue, name, below);
      }
      copy = entries;
    }
    if (below.length > 0) branches.push([key, below]);
    return copy;
  };
  try {
    const branches: Branch[] = [];
    const announced: Branch[] = [];
    const json = JSON.stringify({
      args: plain(args, 'args', branches),
      tool: {
        name: tool.name,
        annotations: tool.annotations === null ? null : plain(tool.annotations, 'annotations', announced),
      },
      server,
      session: {
        id: session.id,
        client: { name: session.clientName, version: session.clientVersion },
        startedMs: session.startedMs,
      },
      nowMs,
    });
    if (announced.length > 0) branches.push(['tool', announced]);
    const exact = branches.length === 0 ? '[]' : JSON.stringify(branches);
    return Buffer.byteLength(json) + Buffer.byteLength(exact) > MAX_INPUT_BYTES ? null : { json, exact };
  } catch (error) {
    if (error === TOO_LARGE) return null;
    throw error;
  }
}

const TOO_LARGE = Symbol('too large');
