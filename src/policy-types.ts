/**
 * Types for authors of checks: `import type { Check } from 'portcullis/policy'`. docs/checks.md says what a check may do.
 */

/** JSON as a check sees it, frozen. A whole number that a double would round is a bigint, any other such number `{ decimal: "digits" }`. */
export type CheckValue =
  | null
  | boolean
  | string
  | number
  | bigint
  | readonly CheckValue[]
  | { readonly [key: string]: CheckValue };

export type CheckCall = {
  /** The arguments of the call. */
  readonly args: { readonly [key: string]: CheckValue };
  readonly tool: {
    readonly name: string;
    /** What the server says of the tool; null where it says nothing, or does not list it. */
    readonly annotations: { readonly [key: string]: CheckValue } | null;
  };
  readonly server: string;
  readonly session: {
    readonly id: string;
    readonly client: { readonly name: string | null; readonly version: string | null };
    /** Milliseconds since the epoch. */
    readonly startedMs: number;
  };
  /** When the call is judged, in milliseconds since the epoch. There is no other clock. */
  readonly nowMs: number;
};

/** `true` lets the call pass; `{ deny }` denies it for that reason. Anything else denies it as a failed evaluation. */
export type CheckResult = true | { readonly deny: string };

export type Check = (call: CheckCall) => CheckResult;
