/**
 * Globs over tool names: `*` stands for any run of characters, `?` for exactly one; every other character stands
 * for itself. A glob matches whole names. There is no way to escape the two.
 */

type Piece =
  | { readonly kind: 'text'; readonly text: readonly string[] }
  | { readonly kind: 'any' }
  | { readonly kind: 'one' };

export type Glob = (name: string) => boolean;

export function isGlob(key: string): boolean {
  return key.includes('*') || key.includes('?');
}

/** `fold` is applied to the literal parts, so that a folded name can be held against a folded glob. */
export function compileGlob(pattern: string, fold: (text: string) => string = (text) => text): Glob {
  const pieces = split(pattern, fold);
  const first = pieces[0];
  if (pieces.length === 2 && first?.kind === 'text' && pieces[1]?.kind === 'any') {
    const prefix = first.text.join('');
    return (name) => name.startsWith(prefix);
  }
  const tokens = pieces.flatMap((piece) => (piece.kind === 'text' ? piece.text : [piece.kind]));
  // A name's character is never longer than two code units, so the tokens 'any' and 'one' cannot be mistaken for one.
  return (name) => matches(tokens, Array.from(name));
}

function split(pattern: string, fold: (text: string) => string): Piece[] {
  return pattern
    .split(/(\*+|\?)/)
    .filter((part) => part !== '')
    .map((part): Piece => {
      if (part === '?') return { kind: 'one' };
      if (part.startsWith('*')) return { kind: 'any' };
      return { kind: 'text', text: Array.from(fold(part)) };
    });
}

/** Greedy, with one point to go back to: at most tokens × characters steps, whatever the name. */
function matches(tokens: readonly string[], name: readonly string[]): boolean {
  let token = 0;
  let at = 0;
  let starToken = -1;
  let starAt = 0;
  while (at < name.length) {
    const wanted = tokens[token];
    if (wanted === 'any') {
      starToken = token++;
      starAt = at;
    } else if (wanted === 'one' || (wanted !== undefined && wanted === name[at])) {
      token += 1;
      at += 1;
    } else if (starToken >= 0) {
      token = starToken + 1;
      at = ++starAt;
    } else return false;
  }
  while (tokens[token] === 'any') token += 1;
  return token === tokens.length;
}
