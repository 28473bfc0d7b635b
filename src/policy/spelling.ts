/**
 * Arguments that a lenient server takes for ones that rules read. Several JSON libraries bind keys whatever their case,
 * the last one winning, so `Amount` beside or instead of `amount` would let another value be used than was judged.
 *
 * Only where rules look: all other arguments may be spelt in any way.
 */
import { foldName } from '../decision/fold.ts';
import { type JsonObject, kindOf } from '../decision/value.ts';

/** The keys that rules read at one place, by what they fold to. */
export type RuledKeys = {
  readonly byFolded: ReadonlyMap<string, RuledKey>;
  /** Keys met before that are like none of them: bounded, since agents choose keys. */
  readonly unlike: Set<string>;
};
type RuledKey = { readonly exact: ReadonlySet<string>; readonly below: RuledKeys | null };

const MAX_UNLIKE = 256;
const MAX_UNLIKE_LENGTH = 64;

/** @returns null where no rule reads an argument. */
export function ruledKeys(paths: readonly (readonly string[])[]): RuledKeys | null {
  const grouped = new Map<string, { exact: Set<string>; rests: (readonly string[])[] }>();
  for (const [key, ...rest] of paths) {
    if (key === undefined) continue;
    const folded = foldName(key);
    const group = grouped.get(folded) ?? { exact: new Set(), rests: [] };
    group.exact.add(key);
    group.rests.push(rest);
    grouped.set(folded, group);
  }
  if (grouped.size === 0) return null;
  const byFolded = new Map<string, RuledKey>();
  for (const [folded, { exact, rests }] of grouped) byFolded.set(folded, { exact, below: ruledKeys(rests) });
  return { byFolded, unlike: new Set() };
}

/** @returns the path, as rules spell it, of the first argument that `args` spells otherwise; null where there is none. */
export function misspelt(args: JsonObject, keys: RuledKeys): readonly string[] | null {
  for (const key in args) {
    if (keys.unlike.has(key)) continue;
    const ruled = keys.byFolded.get(foldName(key));
    if (ruled === undefined) {
      if (keys.unlike.size < MAX_UNLIKE && key.length <= MAX_UNLIKE_LENGTH) keys.unlike.add(key);
      continue;
    }
    // FAIL-CLOSED: whether the server tells the two spellings apart is not known.
    if (!ruled.exact.has(key)) return [...ruled.exact].slice(0, 1);
    const value = args[key];
    if (ruled.below === null || value === undefined || kindOf(value) !== 'object') continue;
    const below = misspelt(value as JsonObject, ruled.below);
    if (below !== null) return [key, ...below];
  }
  return null;
}
