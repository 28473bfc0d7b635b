/**
 * A question about a path, an address or a pattern that different programs answer differently. It is an error, not an
 * answer: whichever way the policy asks, the call is denied.
 */
export class Doubt extends Error {}

/** FAIL-CLOSED: neither true nor false is safe to say. `why` holds nothing of the call. */
export function doubt(why: string): never {
  throw new Doubt(why);
}
