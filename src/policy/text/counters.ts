/**
 * The counters of a policy: each is defined by the one rule whose `state` or `rate_limit` raises it, and read under
 * `state.SCOPE.NAME`. Scope and name may both hold dots, so a path is looked up whole rather than split.
 */
import type { CounterRef, Window } from '../../decision/obligation.ts';
import { nearest } from './nearest.ts';
import { parseRateLimit } from './rate-limit.ts';
import type { Report } from './report.ts';
import { WINDOWS } from './schema.ts';
import { entryOf, fieldOf, itemsOf, type PathStep, quote, showPath, type TreeNode, textOf } from './tree.ts';

export const GLOBAL_SCOPE = '_global';

const MAX_HINTS = 20;
const MAX_COUNTERS_COMPARED = 1_000;

export type CounterDefinition = {
  readonly rule: TreeNode;
  /** `state.SCOPE.NAME`. */
  readonly path: string;
  /** null where the definition has a fault of its own, so that readers of it are not reported as well. */
  readonly counter: CounterRef | null;
};

export class Counters {
  readonly #byPath = new Map<string, CounterDefinition[]>();
  readonly #byRule = new Map<TreeNode, CounterDefinition>();
  #asked = 0;

  add(definition: CounterDefinition): void {
    const same = this.#byPath.get(definition.path);
    if (same === undefined) this.#byPath.set(definition.path, [definition]);
    else same.push(definition);
    this.#byRule.set(definition.rule, definition);
  }

  definedBy(rule: TreeNode): CounterDefinition | undefined {
    return this.#byRule.get(rule);
  }

  at(path: string): readonly CounterDefinition[] {
    return this.#byPath.get(path) ?? [];
  }

  /** Answers only for a few paths and among a bounded number of counters: a hostile file must not make it slow. */
  nearestTo(path: string): string | undefined {
    this.#asked += 1;
    if (this.#asked > MAX_HINTS || this.#byPath.size > MAX_COUNTERS_COMPARED) return undefined;
    const near = nearest(path, this.#byPath.keys());
    if (near !== undefined) return near;
    // The same counter's name under another scope, or under none.
    const name = path.slice(path.lastIndexOf('.'));
    return [...this.#byPath.keys()].find((known) => known.endsWith(name));
  }
}

export function findCounters(tree: TreeNode, report: Report): Counters {
  const counters = new Counters();
  const taken = new Set<string>();
  const tools = fieldOf(tree, 'tools');
  for (const { key, value } of tools?.kind === 'map' ? tools.entries : []) {
    const scope = key === '*' ? null : key;
    itemsOf(fieldOf(value, 'rules')).forEach((rule, i) => {
      const named = nameOf(rule);
      if (named === null) return;
      const counter = named.window === null ? null : { scope, name: named.name, window: named.window };
      const path = `state.${scope ?? GLOBAL_SCOPE}.${named.name}`;
      const identity = JSON.stringify([scope, named.name]);
      if (taken.has(identity)) {
        const at: PathStep[] = ['tools', key, 'rules', i, named.field];
        const found = `${path}, which an earlier rule already raises`;
        const hint =
          named.field === 'rate_limit'
            ? 'write one rate_limit for each window'
            : 'give the counter another name';
        report.fault({
          code: 'duplicate_counter',
          at: named.at,
          path: showPath(at),
          found,
          expected: 'each counter raised by one rule',
          hint,
        });
      }
      taken.add(identity);
      counters.add({ rule, path, counter });
    });
  }
  return counters;
}

type Named = {
  readonly name: string;
  readonly window: Window | null;
  readonly field: string;
  readonly at: number;
};

function nameOf(rule: TreeNode): Named | null {
  const state = fieldOf(rule, 'state');
  if (state !== undefined) {
    const name = textOf(fieldOf(state, 'counter'));
    if (name === undefined || name.trim() === '') return null;
    const word = textOf(fieldOf(state, 'window'));
    return { name, window: WINDOWS.find((known) => known === word) ?? null, field: 'state', at: state.at };
  }
  const rate = entryOf(rule, 'rate_limit')?.value;
  const parsed = parseRateLimit(textOf(rate) ?? '');
  if (rate === undefined || 'expected' in parsed) return null;
  return { name: `_rate_${parsed.window}`, window: parsed.window, field: 'rate_limit', at: rate.at };
}

/** Which counter a `state.` path means, read from a rule under `scope`; null where that is a fault, which is reported. */
export function resolveCounter(
  path: string,
  own: CounterDefinition | null,
  place: { at: number; path: PathStep[]; scope: string | null; counters: Counters; report: Report },
): CounterDefinition | null {
  const { counters, report, scope } = place;
  const candidates = counters.at(path);
  // A rule's own counter, then one of its own tool, is meant before any other that reads alike.
  const chosen =
    candidates.find((one) => one === own) ??
    candidates.find((one) => one.counter?.scope === scope) ??
    (candidates.length === 1 ? candidates[0] : undefined);
  if (chosen !== undefined) return chosen;
  const fault = { at: place.at, path: showPath(place.path), found: quote(path) };
  if (candidates.length > 1) {
    const expected = 'a path that names one counter';
    report.fault({
      code: 'ambiguous_counter',
      ...fault,
      expected,
      hint: 'rename one of the counters that read alike',
    });
    return null;
  }
  const near = counters.nearestTo(path);
  const hint =
    near === undefined
      ? 'no rule counts anything under this name: add state to one'
      : `did you mean ${near}?`;
  report.fault({
    code: 'unknown_counter',
    ...fault,
    expected: 'a counter that a rule of this policy raises',
    hint,
  });
  return null;
}
