/**
 * The policies that lanes hold. A policy is in force once every lane has compiled it; lanes that are at work compile
 * one after another, so that some lane always judges. A policy let go stays until its last evaluation has ended.
 */
import type { PolicyInForce } from '../gate/ports.ts';
import type { Lane } from './lane.ts';
import type { Injections } from './wire.ts';

export type PolicyLoadCode = 'compile_failed' | 'worker_died' | 'timed_out' | 'no_lane' | 'closed';

/** A policy that could not be brought into every lane. The policies in force stay as they were. */
export class PolicyLoadError extends Error {
  override readonly name = 'PolicyLoadError';
  readonly code: PolicyLoadCode;

  constructor(code: PolicyLoadCode, message: string) {
    super(message);
    this.code = code;
  }
}

type Policy = {
  readonly handle: number;
  readonly program: unknown;
  readonly injections: Injections;
  /** Jobs under way. */
  uses: number;
  retiring: boolean;
  /** Set until the policy is in every lane, or fails to be. */
  settle: ((error: PolicyLoadError | null) => void) | null;
};

export class Policies {
  readonly #lanes: () => readonly Lane[];
  readonly #policies = new Map<number, Policy>();
  #nextHandle = 1;

  constructor(lanes: () => readonly Lane[]) {
    this.#lanes = lanes;
  }

  get size(): number {
    return this.#policies.size;
  }

  load(program: unknown, digest: string, injections: Injections, timeoutMs: number): Promise<PolicyInForce> {
    const handle = this.#nextHandle++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const lanes = this.#lanes();
        const ready = lanes.some((lane) => lane.state === 'ready');
        this.#settle(
          handle,
          ready
            ? new PolicyLoadError('timed_out', `a lane did not compile the policy within ${timeoutMs} ms`)
            : new PolicyLoadError('no_lane', `no evaluator worker could be started within ${timeoutMs} ms`),
        );
        // A lane that is still at it would be lost to all other policies.
        for (const lane of lanes) if (lane.compiling === handle) this.onStuck?.(lane);
      }, timeoutMs);
      const settle = (error: PolicyLoadError | null): void => {
        clearTimeout(timer);
        if (error === null) resolve({ handle, digest });
        else reject(error);
      };
      this.#policies.set(handle, { handle, program, injections, uses: 0, retiring: false, settle });
      this.advance();
    });
  }

  /** A lane did not come back from compiling a policy. */
  onStuck: ((lane: Lane) => void) | null = null;

  unload(handle: number): void {
    const policy = this.#policies.get(handle);
    if (policy === undefined) return;
    policy.retiring = true;
    this.#dropUnused(policy);
  }

  has(handle: number): boolean {
    return this.#policies.has(handle);
  }

  use(handle: number): void {
    const policy = this.#policies.get(handle);
    if (policy !== undefined) policy.uses += 1;
  }

  release(handle: number): void {
    const policy = this.#policies.get(handle);
    if (policy === undefined) return;
    policy.uses -= 1;
    if (policy.retiring) setImmediate(() => this.#dropUnused(policy));
  }

  programOf(handle: number): unknown {
    return this.#policies.get(handle)?.program;
  }

  /** Gives a new lane all policies. */
  equip(lane: Lane): void {
    for (const { handle, program, injections } of this.#policies.values()) {
      lane.tell({ type: 'load', handle, program, injections });
    }
  }

  /** Goes on with policies that not every lane has yet. */
  advance(): void {
    for (const policy of this.#policies.values()) {
      if (policy.settle === null) continue;
      const { handle, program, injections } = policy;
      const lanes = this.#lanes().filter((lane) => lane.state !== 'lost');
      const without = lanes.filter((lane) => !lane.policies.has(handle));
      if (without.length === 0) {
        if (lanes.length > 0) this.#settle(handle, null);
        continue;
      }
      const busy = without.some((lane) => lane.state === 'ready' && lane.loading.has(handle));
      const next = without.findLast((lane) => lane.state === 'ready' && !lane.loading.has(handle));
      if (!busy && next !== undefined) next.tell({ type: 'load', handle, program, injections });
    }
  }

  /** A lane says that it cannot compile a policy. False where others could, so that the lane is at fault. */
  refused(handle: number, detail: string): boolean {
    const policy = this.#policies.get(handle);
    if (policy === undefined) return true;
    if (policy.settle === null) return false;
    this.#settle(handle, new PolicyLoadError('compile_failed', `the policy cannot be compiled: ${detail}`));
    return true;
  }

  /** A lane was lost while it compiled this policy. */
  killedLane(handle: number, detail: string): void {
    const error = new PolicyLoadError(
      'worker_died',
      `a worker was lost while it compiled the policy: ${detail}`,
    );
    if (this.#policies.get(handle)?.settle) this.#settle(handle, error);
  }

  close(): void {
    for (const { handle, settle } of [...this.#policies.values()]) {
      if (settle !== null)
        this.#settle(handle, new PolicyLoadError('closed', 'the evaluator pool was closed'));
    }
    this.#policies.clear();
  }

  #settle(handle: number, error: PolicyLoadError | null): void {
    const policy = this.#policies.get(handle);
    if (policy?.settle == null) return;
    const { settle } = policy;
    policy.settle = null;
    if (error !== null) this.#drop(handle);
    settle(error);
  }

  #dropUnused(policy: Policy): void {
    if (policy.uses === 0 && policy.settle === null) this.#drop(policy.handle);
  }

  #drop(handle: number): void {
    if (!this.#policies.delete(handle)) return;
    for (const lane of this.#lanes()) lane.tell({ type: 'unload', handle });
  }
}
