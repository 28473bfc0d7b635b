/**
 * Runs checks in QuickJS, compiled to WebAssembly: JavaScript without files, network, clock or chance, within a cap of
 * memory, stack and time. Each call finds the state that the modules' own code left when they were loaded: the memory
 * is put back after it. Whatever a check does comes out as an outcome; nothing here throws for it.
 *
 * What QuickJS itself cannot be interrupted in (one long step of its own, such as a huge sort) is ended by the lane's
 * deadline, together with the lane.
 */
import type { QuickJSContext, QuickJSHandle } from 'quickjs-emscripten-core';
import type { SessionFacts } from '../decision/session-facts.ts';
import type { JsonObject } from '../decision/value.ts';
import { type CheckBundle, resolveImport } from './bundle.ts';
import { GUEST_SOURCE, MAX_REASON } from './guest.ts';
import { encodeInput, MAX_INPUT_BYTES } from './input.ts';
import { newQuickJS, type QuickJS } from './quickjs.ts';
import { Snapshot } from './snapshot.ts';
import { Stopwatch } from './stopwatch.ts';

export type CheckInput = {
  readonly args: JsonObject;
  readonly tool: { readonly name: string; readonly annotations: JsonObject | null };
  readonly server: string;
  readonly session: SessionFacts;
  readonly nowMs: number;
};

export type CheckOutcome =
  | { readonly kind: 'passed' }
  | { readonly kind: 'denied'; readonly reason: string }
  | {
      readonly kind: 'fault';
      readonly fault: 'error' | 'timeout' | 'out_of_memory';
      readonly detail: string;
    };

export type SandboxLimits = {
  /** Of one call. Below the lane's own deadline, so that a check in a loop costs no lane. */
  readonly timeoutMs: number;
  readonly stackBytes: number;
};

export const DEFAULT_LIMITS: SandboxLimits = {
  timeoutMs: 40,
  stackBytes: 256 * 1024,
};
/** The modules' own code runs once, when a policy is loaded. */
const LOAD_TIMEOUT_MS = 1_000;
/**
 * Of 64 KiB: what QuickJS is built to begin with, about 10 MiB of it free, and never more. (Its own memory limit counts
 * blocks and not bytes in this build.)
 */
const MEMORY_PAGES = 256;

/** The source of a module that the bundle does not hold, while modules are loaded. */
export type ProvideModule = (name: string) => string | undefined;

/** No file of a bundle is called so. */
const ENTRY = '//entry/';
/** For what a call brings: its text, and the string made of it, whose characters may take two bytes each. */
const INPUT_ROOM = 3 * MAX_INPUT_BYTES;

/** A fault of a bundle: `module` and `line` where QuickJS tells them. */
export class CheckLoadError extends Error {
  readonly module: string | undefined;
  readonly line: number | undefined;

  constructor(message: string, module?: string, line?: number) {
    super(message);
    this.module = module;
    this.line = line;
  }
}

/** @throws CheckLoadError (rejects) where a module does not compile, throws, or lacks an export. */
export async function createSandbox(
  bundle: CheckBundle,
  limits: SandboxLimits = DEFAULT_LIMITS,
  provide: ProvideModule = () => undefined,
): Promise<Sandbox> {
  return new Sandbox(await newQuickJS(MEMORY_PAGES), bundle, limits, provide);
}

export class Sandbox {
  readonly #limits: SandboxLimits;
  readonly #context: QuickJSContext;
  readonly #run: QuickJSHandle;
  readonly #checks = new Map<string, QuickJSHandle>();
  readonly #snapshot: Snapshot;
  #badImport: { readonly module: string; readonly message: string } | undefined;
  #watch = new Stopwatch(LOAD_TIMEOUT_MS);
  #interrupted = false;
  /** It trapped: only a new one is fit to be used. */
  #spent = false;

  constructor(
    { runtime, memory, hasRoom }: QuickJS,
    bundle: CheckBundle,
    limits: SandboxLimits,
    provide: ProvideModule,
  ) {
    this.#limits = limits;
    runtime.setMaxStackSize(limits.stackBytes);
    runtime.setInterruptHandler(() => {
      this.#interrupted ||= this.#watch.isOver;
      return this.#interrupted;
    });
    const context = runtime.newContext();
    this.#context = context;
    this.#run = context.unwrapResult(
      context.evalCode(GUEST_SOURCE, 'guest', { type: 'global', strict: true }),
    );
    const sources = new Map(bundle.modules.map(({ name, source }) => [name, source]));
    runtime.setModuleLoader(
      (name) => sources.get(name) ?? provide(name) ?? { error: new Error(`no module ${name}`) },
      (base, requested) => {
        // What the entry asks for is named in full.
        if (base.startsWith(ENTRY)) return requested;
        try {
          return resolveImport(base, requested);
        } catch (error) {
          this.#badImport ??= { module: base, message: (error as Error).message };
          return { error: error as Error };
        }
      },
    );
    this.#watch.start();
    for (const { ref, module, export: name } of bundle.entries)
      this.#checks.set(ref, this.#load(module, name));
    // INVARIANT: each call begins with this much room.
    if (!hasRoom(INPUT_ROOM))
      throw new CheckLoadError(
        `its own code keeps too much memory: ${INPUT_ROOM >> 20} MiB must be left for calls`,
      );
    // Nothing is imported later on.
    runtime.setModuleLoader(() => ({ error: new Error('modules are imported at the beginning alone') }));
    this.#watch = new Stopwatch(limits.timeoutMs);
    this.#snapshot = new Snapshot(memory);
  }

  /** A new sandbox has to take its place. */
  get isSpent(): boolean {
    return this.#spent;
  }

  run(ref: string, input: CheckInput): CheckOutcome {
    const check = this.#checks.get(ref);
    if (check === undefined || this.#spent) return fault('error', 'it is not loaded');
    this.#interrupted = false;
    try {
      const context = this.#context;
      const encoded = encodeInput(input);
      // FAIL-CLOSED: a call too large for the sandbox is not judged by a part of it.
      if (encoded === null) return fault('out_of_memory', TOO_LARGE);
      const given = [check, context.newString(encoded.json), context.newString(encoded.exact)];
      this.#watch.start();
      const result = context.callFunction(this.#run, context.undefined, ...given);
      // Some of QuickJS' own steps cannot be interrupted: what comes late is late all the same.
      if (this.#interrupted || this.#watch.isOver)
        return fault('timeout', `it took longer than ${this.#limits.timeoutMs} ms`);
      if (result.error !== undefined) return this.#failed(result.error);
      return outcomeOf(context.getString(result.value));
    } catch {
      // FAIL-CLOSED: QuickJS itself gave up (its stack, its memory): nothing it says counts any more.
      this.#spent = true;
      return fault('error', 'it broke the sandbox it ran in');
    } finally {
      this.#watch.stop();
      this.#snapshot.restore();
    }
  }

  #load(module: string, name: string): QuickJSHandle {
    const context = this.#context;
    const code = `export { ${name} as check } from ${JSON.stringify(module)};`;
    const result = context.evalCode(code, `${ENTRY}${module}`, { type: 'module' });
    if (this.#interrupted)
      throw new CheckLoadError(`its own code runs longer than ${LOAD_TIMEOUT_MS} ms`, module);
    if (this.#badImport !== undefined)
      throw new CheckLoadError(this.#badImport.message, this.#badImport.module);
    if (result.error !== undefined) throw this.#loadError(result.error, module, name);
    if (
      context.typeof(result.value) !== 'object' ||
      context.getProp(result.value, 'then').consume((then) => context.typeof(then)) === 'function'
    )
      throw new CheckLoadError('it waits for something at its top level (await)', module);
    const check = context.getProp(result.value, 'check');
    if (context.typeof(check) !== 'function')
      throw new CheckLoadError(`its export "${name}" is no function`, module);
    return check;
  }

  #loadError(error: QuickJSHandle, module: string, name: string): CheckLoadError {
    const text = (key: string): string => {
      const value = this.#context.getProp(error, key);
      return this.#context.typeof(value) === 'string' ? this.#context.getString(value) : '';
    };
    const message = text('message').slice(0, 300) || 'it threw no Error';
    const place = /^\s*at (?:.*\()?([^\s()]+\.mjs):(\d+)/m.exec(text('stack').slice(0, 4_000));
    if (/Could not find export|not found/i.test(message) && message.includes('export'))
      return new CheckLoadError(`it has no export "${name}"`, module);
    return new CheckLoadError(message, place?.[1] ?? module, place === null ? undefined : Number(place[2]));
  }

  /** The error came from the guest's own code: there was no room even for that. */
  #failed(error: QuickJSHandle): CheckOutcome {
    const message = this.#context.getProp(error, 'message');
    const text = this.#context.typeof(message) === 'string' ? this.#context.getString(message) : '';
    return text === 'out of memory'
      ? fault('out_of_memory', OUT_OF_MEMORY)
      : fault('error', 'it could not be called');
  }
}

const TOO_LARGE = `the call is larger than a check is given (${MAX_INPUT_BYTES >> 20} MiB)`;
const OUT_OF_MEMORY = 'it took more memory than a check may';

function fault(kind: 'error' | 'timeout' | 'out_of_memory', detail: string): CheckOutcome {
  return { kind: 'fault', fault: kind, detail };
}

function outcomeOf(text: string): CheckOutcome {
  const at = text.indexOf(':');
  const [word, rest] = at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
  switch (word) {
    case 'passed':
      return { kind: 'passed' };
    case 'denied':
      return { kind: 'denied', reason: printable(rest) };
    case 'memory':
      return fault('out_of_memory', OUT_OF_MEMORY);
    default:
      return fault('error', `${rest}; a check returns true or { deny: "reason" }`);
  }
}

function printable(reason: string): string {
  const cut = reason.slice(0, MAX_REASON);
  return cut.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]/gu, ' ').trim() || 'it denies the call';
}
