/**
 * Counter keys. A key is the JSON list `[server, scope, name, window]`, so no two counters can share one: a scope of
 * null is not the text "_global", and no character in a name can end it early. Long keys are hashed.
 */
import { createHash } from 'node:crypto';
import type { CounterRef } from '../decision/obligation.ts';

/** Longer lists than this are replaced by their SHA-256, which keeps keys within what the store takes. */
export const MAX_PLAIN_KEY_BYTES = 400;
const MAX_CACHED_KEYS = 4096;
const MAX_SHOWN_CHARS = 256;

export type CounterKey = {
  /** Unique per counter; pure ASCII or UTF-8 of at most {@link MAX_PLAIN_KEY_BYTES} bytes. */
  readonly text: string;
  readonly bytes: Buffer;
  readonly server: string;
  readonly ref: CounterRef;
  /** Set where `text` is a hash: what to store beside the value so that people can still read whose it is. */
  readonly label?: string;
};

/** Makes the keys of one server, and keeps those it made: the same few counters come again with every call. */
export class CounterKeys {
  readonly #server: string;
  readonly #cache = new Map<string, CounterKey>();
  /** Calls of one tool mostly come with the very same object. */
  #lastRef: CounterRef | undefined;
  #lastKey: CounterKey | undefined;

  constructor(server: string) {
    this.#server = server;
  }

  of(ref: CounterRef): CounterKey {
    if (ref === this.#lastRef && this.#lastKey !== undefined) return this.#lastKey;
    const key = this.#find(ref);
    this.#lastRef = ref;
    this.#lastKey = key;
    return key;
  }

  #find(ref: CounterRef): CounterKey {
    // The scope's length stands first, so the parts cannot be cut in two ways.
    const scope = ref.scope;
    const quick =
      scope === null ? `-${ref.name}|${ref.window}` : `${scope.length}:${scope}${ref.name}|${ref.window}`;
    const known = this.#cache.get(quick);
    if (known !== undefined) return known;
    if (this.#cache.size >= MAX_CACHED_KEYS) this.#cache.clear();
    const key = makeKey(this.#server, ref);
    this.#cache.set(quick, key);
    return key;
  }
}

function makeKey(server: string, ref: CounterRef): CounterKey {
  const plain = `c${JSON.stringify([server, ref.scope, ref.name, ref.window])}`;
  const bytes = Buffer.from(plain);
  const own: CounterRef = { scope: ref.scope, name: ref.name, window: ref.window };
  if (bytes.length <= MAX_PLAIN_KEY_BYTES) return { text: plain, bytes, server, ref: own };
  const text = `h${createHash('sha256').update(bytes).digest('hex')}`;
  const label = JSON.stringify([
    cut(server),
    ref.scope === null ? null : cut(ref.scope),
    cut(ref.name),
    ref.window,
  ]);
  return { text, bytes: Buffer.from(text), server, ref: own, label };
}

function cut(text: string): string {
  return text.length <= MAX_SHOWN_CHARS ? text : `${text.slice(0, MAX_SHOWN_CHARS)}…`;
}
