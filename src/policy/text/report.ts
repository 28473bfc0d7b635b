/** Collects a file's faults, so that all come out together, in the order of their places. */
import type { Diagnostic } from '../diagnostic.ts';
import type { PolicyCode, PolicyErrorCode, PolicyWarningCode } from './codes.ts';

export type Place = { readonly line: number; readonly column: number };

export type Fault = {
  readonly code: PolicyErrorCode;
  /** Offset into the text, in UTF-16 code units. */
  readonly at: number;
  readonly path: string;
  readonly found: string;
  readonly expected: string;
  readonly hint?: string | undefined;
};
/** Where a rule names a check. */
export type CheckUse = Place & { readonly ref: string; readonly path: string };

export type Doubt = Omit<Fault, 'code'> & { readonly code: PolicyWarningCode };

/** More than these help nobody. */
export const MAX_FAULTS = 1_000;

export class Report {
  /** The file's text, once it is decoded. */
  source = '';
  readonly #file: string;
  readonly #placeOf: (offset: number) => Place;
  readonly #faults: Fault[] = [];
  readonly #doubts: Doubt[] = [];
  readonly #seen = new Set<string>();
  readonly #checks: CheckUse[] = [];

  constructor(file: string, placeOf: (offset: number) => Place) {
    this.#file = file;
    this.#placeOf = placeOf;
  }

  get hasFaults(): boolean {
    return this.#faults.length > 0;
  }

  fault(fault: Fault): void {
    if (this.#faults.length > MAX_FAULTS) return;
    if (this.#faults.length === MAX_FAULTS) {
      const rest = { found: `more than ${MAX_FAULTS} faults`, expected: 'a policy file', path: '' };
      this.#faults.push({ code: 'too_many_faults', at: fault.at, ...rest });
    } else if (this.#isNew(fault)) this.#faults.push(fault);
  }

  doubt(doubt: Doubt): void {
    if (this.#doubts.length < MAX_FAULTS && this.#isNew(doubt)) this.#doubts.push(doubt);
  }

  /** Whether the file of a check is there and can be run is found out by whoever loads it. */
  check(ref: string, at: number, path: string): void {
    this.#checks.push({ ref, path, ...this.#placeOf(at) });
  }

  checks(): readonly CheckUse[] {
    return this.#checks;
  }

  faults(): Diagnostic[] {
    return this.#diagnostics(this.#faults);
  }

  warnings(): Diagnostic[] {
    return this.#diagnostics(this.#doubts);
  }

  // A node that aliases repeat is found faulty once for each of its places in the tree; it is mended once.
  #isNew(fault: Fault | Doubt): boolean {
    const key = `${fault.code} ${fault.at} ${fault.expected}`;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  #diagnostics(faults: readonly (Fault | Doubt)[]): Diagnostic[] {
    return faults.toSorted((a, b) => a.at - b.at).map((fault) => this.#diagnostic(fault));
  }

  #diagnostic(fault: Omit<Fault, 'code'> & { code: PolicyCode }): Diagnostic {
    const { code, path, found, expected, hint } = fault;
    const place = this.#placeOf(fault.at);
    return {
      code,
      file: this.#file,
      ...place,
      path,
      found,
      expected,
      ...(hint === undefined ? {} : { hint }),
    };
  }
}
