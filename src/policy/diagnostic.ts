/** A fault in a policy file: where it is, what was found, what was expected, and how to mend it. */

export type Diagnostic = {
  /** Stable and documented in docs/policy-errors.md, for example `unknown_field`. */
  readonly code: string;
  readonly file: string;
  /** From 1; the column counts UTF-16 code units. */
  readonly line: number;
  readonly column: number;
  /** The place in the document's own terms, for example `tools.create_charge.rules[0].conditions[1].op`. */
  readonly path: string;
  readonly found: string;
  readonly expected: string;
  /** The nearest known word, or another way to mend it. */
  readonly hint?: string;
};
