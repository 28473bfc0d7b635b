/** The part of WebAssembly's interface that is used here; Node's types do not have it. */

export type Memory = { readonly buffer: ArrayBuffer };

type Interface = {
  readonly Memory: new (sizes: { readonly initial: number; readonly maximum: number }) => Memory;
};

/** Of fixed size. */
export function newMemory(pages: number): Memory {
  const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: Interface };
  return new WebAssembly.Memory({ initial: pages, maximum: pages });
}
