/**
 * QuickJS in a memory of its own, of fixed size. Its WebAssembly is compiled once in a thread: that takes ten times as
 * long as making an instance of what was compiled.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import releaseSync from '@jitl/quickjs-wasmfile-release-sync';
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSRuntime,
  type QuickJSSyncVariant,
} from 'quickjs-emscripten-core';

export type Memory = { readonly buffer: ArrayBuffer };
type Compiled = { readonly [Symbol.toStringTag]: string };

/** What is used of WebAssembly's interface; Node's types do not have it. */
type Interface = {
  readonly Memory: new (sizes: { readonly initial: number; readonly maximum: number }) => Memory;
  readonly Module: new (bytes: Uint8Array) => Compiled;
};
const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: Interface };

export type QuickJS = {
  readonly runtime: QuickJSRuntime;
  readonly memory: Memory;
  /** Whether a block of so many bytes is free. */
  readonly hasRoom: (bytes: number) => boolean;
};

type Allocator = { _malloc: (bytes: number) => number; readonly _free: (at: number) => void };
type Encoder = {
  lengthBytesUTF8: (text: string) => number;
  stringToUTF8: (text: string, at: number, room: number) => void;
};

let compiled: Compiled | undefined;

/** @param pages of 64 KiB. */
export async function newQuickJS(pages: number): Promise<QuickJS> {
  compiled ??= new WebAssembly.Module(
    readFileSync(fileURLToPath(import.meta.resolve('@jitl/quickjs-wasmfile-release-sync/wasm'))),
  );
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const variant = newVariant(releaseSync as unknown as QuickJSSyncVariant, {
    wasmModule: compiled as never,
    wasmMemory: memory as never,
  });
  let hasRoom = (_bytes: number): boolean => false;
  const module = await newQuickJSWASMModuleFromVariant({
    ...variant,
    importModuleLoader: async () => {
      const imported = await variant.importModuleLoader();
      const inner = 'default' in imported ? imported.default : imported;
      const load = 'default' in inner ? inner.default : inner;
      return async (options) => {
        const made = await load(options);
        hasRoom = guard(made as Allocator);
        encodeNatively(made as unknown as Encoder, memory);
        return made;
      };
    },
  });
  return { runtime: module.newRuntime(), memory, hasRoom };
}

/**
 * INVARIANT: nothing is written where no memory was to be had. The library does not look at what it is given: a text
 * for which there is no room would be written from address 0 on, over the state of QuickJS.
 */
function guard(allocator: Allocator): (bytes: number) => boolean {
  const { _malloc, _free } = allocator;
  allocator._malloc = (bytes) => {
    const at = _malloc(bytes);
    if (at === 0) throw new RangeError('the sandbox has no room for this');
    return at;
  };
  return (bytes) => {
    const at = _malloc(bytes);
    if (at !== 0) _free(at);
    return at !== 0;
  };
}

/** The library's own loops take several times as long as all else that a large call costs on its way in. */
function encodeNatively(encoder: Encoder, memory: Memory): void {
  const all = Buffer.from(memory.buffer);
  encoder.lengthBytesUTF8 = (text) => Buffer.byteLength(text);
  encoder.stringToUTF8 = (text, at, room) => {
    if (room > 0) all[at + all.write(text, at, room - 1)] = 0;
  };
}
