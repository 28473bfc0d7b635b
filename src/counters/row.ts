/**
 * How a counter stands in the LMDB file: `<crc32> <window index> <used>[ <label>]`, all text. The checksum covers the key
 * too, so a damaged row, or one under the wrong key, is noticed and never taken for a number.
 */
import { crc32 } from 'node:zlib';
import { Decimal } from '../decision/decimal.ts';
import type { CounterUsage, Held } from './backend.ts';
import { StoreFault } from './backend.ts';
import type { CounterKey } from './key.ts';
import { isWindow, windowEndMs, windowStartMs } from './window.ts';

const ROW = /^([0-9a-f]{8}) ((\d{1,12}) (\d{1,19}(?:\.\d{1,400})?)(?: (\[.*\]))?)$/s;

export function encodeRow(key: CounterKey, held: Held): string {
  const body = `${held.index} ${held.used.toString()}${key.label === undefined ? '' : ` ${key.label}`}`;
  return `${sum(key.text, body)} ${body}`;
}

export function decodeRow(key: string, text: string): Held {
  const match = ROW.exec(text);
  if (match === null || match[1] !== sum(key, match[2] ?? '')) throw damaged();
  return { index: Number(match[3]), used: Decimal.parse(match[4] ?? '') };
}

/** A row as `list` shows it. */
export function describeRow(key: string, text: string): CounterUsage {
  const held = decodeRow(key, text);
  const label = key.startsWith('c') ? key.slice(1) : (ROW.exec(text)?.[5] ?? '');
  let parts: unknown;
  try {
    parts = JSON.parse(label);
  } catch {
    throw damaged();
  }
  if (!Array.isArray(parts)) throw damaged();
  const [server, scope, name, window] = parts as readonly unknown[];
  if (typeof server !== 'string' || typeof name !== 'string' || !isWindow(window)) throw damaged();
  if (scope !== null && typeof scope !== 'string') throw damaged();
  return {
    server,
    scope,
    name,
    window,
    startsMs: windowStartMs(window, held.index),
    endsMs: windowEndMs(window, held.index),
    used: held.used.toString(),
  };
}

/** The end of the window a row is about, which its key or label tells. */
export function rowEndMs(key: string, text: string): number {
  return describeRow(key, text).endsMs;
}

function sum(key: string, body: string): string {
  return crc32(body, crc32(key)).toString(16).padStart(8, '0');
}

function damaged(): StoreFault {
  return new StoreFault('a counter in the state file is damaged');
}
