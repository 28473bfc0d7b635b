/**
 * Patterns in RE2 syntax, matched in time linear in the text: a pattern can be slow only by its size, which is bounded.
 * As in Go, a pattern is searched for anywhere in the text; `^` and `$` are the ends of the text.
 */
import { RE2JS } from 're2js';

export const MAX_PATTERN_LENGTH = 2_000;
/** Steps per character of text grow with the program. */
export const MAX_PROGRAM_SIZE = 10_000;

/** @throws Error whose message says what is wrong with the pattern. */
export function compileRegex(pattern: string): (text: string) => boolean {
  if (pattern.length > MAX_PATTERN_LENGTH) {
    throw new Error(`pattern longer than ${MAX_PATTERN_LENGTH} characters`);
  }
  const regex = compile(pattern);
  if (regex.programSize() > MAX_PROGRAM_SIZE)
    throw new Error('pattern too large once its repetitions are written out');
  return literal(pattern) ?? ((text) => regex.test(text));
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(message.replace(/^error parsing regexp: /, ''));
  }
}

const PLAIN = /^(\^?)((?:[A-Za-z0-9 _/@:,;=<>~'"!#%&-]|\\[.\-/@_+*?()[\]{}|^$\\])*)(\$?)$/;

/**
 * The text functions that do the same for a pattern of ASCII literals, about ten times as fast.
 * INVARIANT: nothing in PLAIN's middle has a meaning of its own in RE2, other than `\` before punctuation, and ASCII
 * never takes part in a surrogate pair, so code units and code points give the same answer.
 */
function literal(pattern: string): ((text: string) => boolean) | null {
  const match = PLAIN.exec(pattern);
  if (match === null) return null;
  const text = (match[2] ?? '').replace(/\\(.)/g, '$1');
  const fromStart = match[1] === '^';
  const toEnd = match[3] === '$';
  if (fromStart && toEnd) return (subject) => subject === text;
  if (fromStart) return (subject) => subject.startsWith(text);
  if (toEnd) return (subject) => subject.endsWith(text);
  return (subject) => subject.includes(text);
}
