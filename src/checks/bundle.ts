/** The checks of a policy as they travel to the lanes: plain data, part of the program and so of its digest. */

export type CheckModule = { readonly name: string; readonly source: string };

export type CheckBundle = {
  readonly modules: readonly CheckModule[];
  /** `ref` is what the policy says, such as `./checks/refund.mjs#large`. */
  readonly entries: readonly { readonly ref: string; readonly module: string; readonly export: string }[];
};

/**
 * The module that an import means. Only files of the importing file's own folder: `./other.mjs`.
 * @throws Error whose message says what is wrong with the specifier.
 */
export function resolveImport(from: string, specifier: string): string {
  if (!/^\.\/[^/\\#?\0]+\.mjs$/.test(specifier))
    throw new Error(
      `only files of the same folder can be imported, as "./name.mjs", not ${JSON.stringify(specifier.slice(0, 100))}`,
    );
  const folder = from.slice(0, from.lastIndexOf('/') + 1);
  return `${folder}${specifier.slice(2)}`;
}
