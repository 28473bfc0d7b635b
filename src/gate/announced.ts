/**
 * The tool names that the server's own lists showed the agent. A name with unusual characters stands only if it is
 * exactly one of these. Bounded: names beyond the bounds are not announced, so calls of them are denied.
 */
export const MAX_ANNOUNCED_NAMES = 10_000;
export const MAX_ANNOUNCED_CHARS = 1 << 20;
export const MAX_ANNOUNCED_NAME_LENGTH = 1024;

export class Announced {
  readonly #names = new Set<string>();
  #chars = 0;

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** False where a name did not fit. */
  add(names: readonly string[]): boolean {
    let all = true;
    for (const name of names) {
      if (this.#names.has(name)) continue;
      const fits =
        name.length <= MAX_ANNOUNCED_NAME_LENGTH &&
        this.#names.size < MAX_ANNOUNCED_NAMES &&
        this.#chars + name.length <= MAX_ANNOUNCED_CHARS;
      if (!fits) {
        all = false;
        continue;
      }
      this.#names.add(name);
      this.#chars += name.length;
    }
    return all;
  }
}
