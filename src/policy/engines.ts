/** What a policy is run with. Handed in, so that a policy without expressions or checks loads neither engine. */
import type { CompileRegex } from './condition.ts';
import type { CallContext } from './facts.ts';
import type { Expression } from './program.ts';

/** Throws where the expression cannot be evaluated for this call. */
export type Evaluable = (context: CallContext) => boolean;

export type CheckOutcome =
  | { readonly kind: 'passed' }
  | { readonly kind: 'denied'; readonly reason: string }
  /** It did not answer: `detail` says why, without anything of the call. */
  | {
      readonly kind: 'fault';
      readonly fault: 'error' | 'timeout' | 'out_of_memory';
      readonly detail: string;
    };

export type Engines = {
  readonly compileRegex: CompileRegex;
  readonly compileExpression?: (source: Expression) => Evaluable;
  readonly runCheck?: (name: string, context: CallContext) => CheckOutcome;
};
