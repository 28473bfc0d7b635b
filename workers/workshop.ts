/** The sandboxes of a lane: one for each policy with checks, made anew when a check broke it. */
import type { CheckBundle } from '../src/checks/bundle.ts';
import type { CheckInput, CheckOutcome, Sandbox } from '../src/checks/sandbox.ts';

type Bench = { readonly bundle: CheckBundle; sandbox: Sandbox };

const MENDING: CheckOutcome = { kind: 'fault', fault: 'error', detail: 'its sandbox is being made anew' };

export class Workshop {
  readonly #benches = new Set<WeakRef<Bench>>();
  isBroken = false;

  async open(bundle: CheckBundle): Promise<(ref: string, input: CheckInput) => CheckOutcome> {
    const { createSandbox } = await import('../src/checks/sandbox.ts');
    const bench: Bench = { bundle, sandbox: await createSandbox(bundle) };
    // Weak: a policy that is let go takes its sandbox along.
    this.#benches.add(new WeakRef(bench));
    return (ref, input) => {
      if (bench.sandbox.isSpent) return MENDING;
      const outcome = bench.sandbox.run(ref, input);
      if (bench.sandbox.isSpent) this.isBroken = true;
      return outcome;
    };
  }

  /** A sandbox that cannot be made anew stays spent: its checks go on failing. */
  async mend(): Promise<void> {
    this.isBroken = false;
    const { createSandbox } = await import('../src/checks/sandbox.ts');
    for (const reference of this.#benches) {
      const bench = reference.deref();
      if (bench === undefined) this.#benches.delete(reference);
      else if (bench.sandbox.isSpent) {
        try {
          bench.sandbox = await createSandbox(bench.bundle);
        } catch {
          // FAIL-CLOSED: without a sandbox no check passes.
        }
      }
    }
  }
}
