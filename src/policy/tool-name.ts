/**
 * What may be a tool name, and when two names look alike to a lenient server.
 */

/** Names longer than this are judged only where the policy names them exactly. */
export const MAX_NAME_LENGTH = 1024;

const SPECIFIED = /^[A-Za-z0-9_.-]{1,128}$/;
// Besides what Unicode calls white space, control, format and default-ignorable: the blank Braille cell.
const INVISIBLE = /[\p{White_Space}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]/gu;

/** The characters and length that the MCP specification gives tool names. */
export function isSpecifiedName(name: string): boolean {
  return SPECIFIED.test(name);
}

/** `*` is the policy's word for all tools, and an empty name is no name. */
export function isToolName(name: string): boolean {
  return name !== '' && name !== '*';
}

/**
 * Case, compatibility forms, white space and invisible characters taken away. Dashes and underscores stay apart:
 * `delete-repo` and `delete_repo` are different tools to every server known.
 */
export function foldName(name: string): string {
  // The second pass takes away what only case mapping or composition brought to light.
  return foldOnce(foldOnce(name));
}

function foldOnce(name: string): string {
  return name.normalize('NFKD').replace(INVISIBLE, '').toUpperCase().toLowerCase().normalize('NFKC');
}
