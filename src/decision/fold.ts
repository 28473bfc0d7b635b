/** When two names are the same to a lenient reader. */

// Besides what Unicode calls white space, control, format and default-ignorable: the blank Braille cell.
const INVISIBLE = /[\p{White_Space}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]/gu;
const PLAIN = /^[\x21-\x7e]*$/;

/**
 * Case, compatibility forms, white space and invisible characters taken away. Dashes and underscores stay apart:
 * `delete-repo` and `delete_repo` are different tools to every server known.
 */
export function foldName(name: string): string {
  if (PLAIN.test(name)) return name.toLowerCase();
  // The second pass takes away what only case mapping or composition brought to light.
  return foldOnce(foldOnce(name));
}

function foldOnce(name: string): string {
  return name.normalize('NFKD').replace(INVISIBLE, '').toUpperCase().toLowerCase().normalize('NFKC');
}
