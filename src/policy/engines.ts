/** What a policy is run with. Handed in, so that a policy without expressions or checks loads neither engine. */
import type { CheckOutcome } from '../checks/sandbox.ts';
import type { CompileRegex } from './condition.ts';
import type { CallContext } from './facts.ts';
import type { Expression } from './program.ts';

/** Throws where the expression cannot be evaluated for this call. */
export type Evaluable = ((context: CallContext) => boolean) & {
  /** The arguments that it names, as far as its text tells: `args.a.b` is `[a, b]`. */
  readonly paths: readonly (readonly string[])[];
};

export type Engines = {
  readonly compileRegex: CompileRegex;
  readonly compileExpression?: (source: Expression) => Evaluable;
  readonly runCheck?: (name: string, context: CallContext) => CheckOutcome;
};
