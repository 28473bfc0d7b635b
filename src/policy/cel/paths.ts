/**
 * Paths in arguments, judged by their text alone: no file is looked at, so symbolic links are out of reach (docs/expressions.md).
 * Every path is either read the same way by all systems or is a {@link doubt}.
 */
import { doubt } from './doubt.ts';

const MAX_LENGTH = 4_096;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they end paths in some languages
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const INVISIBLE = /[\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;
/** What becomes a slash, a backslash, a dot or a percent sign when it is decoded, overlong forms included. */
const ENCODED = /%(?:2e|2f|5c|25|00|u[0-9a-f]{4}|c[01]|e0%80|f0%80)/i;
/** Letters that look like, or that some systems turn into, a slash, a backslash or a dot. */
const LOOK_ALIKE = /[\u2024-\u2026\u2044\u2215\u2216\u29f5\u29f8\u29f9\ufe52\ufe68\uff0e\uff0f\uff3c]/;
const DRIVE = /^[A-Za-z]:/;
const DEVICE = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i;

/** The segments of an absolute path. Doubt where it is anything else. */
export function absoluteSegments(path: string): string[] {
  if (!path.startsWith('/')) doubt('a path that does not begin with "/" depends on where the server runs');
  if (path.startsWith('//')) doubt('a path that begins with "//" names another host on some systems');
  return segmentsOf(path);
}

/** The segments of an absolute or relative path, without the empty one behind a last slash. */
export function segmentsOf(path: string): string[] {
  if (path === '') doubt('an empty path');
  if (path.length > MAX_LENGTH) doubt(`a path longer than ${MAX_LENGTH} characters`);
  if (CONTROL.test(path)) doubt('a control character in a path');
  if (INVISIBLE.test(path)) doubt('an invisible character in a path');
  if (path.includes('\\')) doubt('a backslash in a path, which some systems take for a slash');
  if (ENCODED.test(path)) doubt('an encoded character in a path');
  if (LOOK_ALIKE.test(path)) doubt('a character in a path that looks like a slash or a dot');
  if (path.startsWith('~')) doubt('a path that begins with "~"');
  if (DRIVE.test(path)) doubt('a drive letter in a path');
  const segments = path.split('/');
  if (segments[0] === '') segments.shift();
  if (segments.at(-1) === '') segments.pop();
  for (const segment of segments) judgeSegment(segment);
  return segments.filter((segment) => segment !== '.');
}

function judgeSegment(segment: string): void {
  if (segment === '.') return;
  if (segment === '') doubt('two slashes in a row in a path');
  if (segment === '..') doubt('".." in a path, which links may lead anywhere');
  if (/[. ]$/.test(segment))
    doubt('a dot or a space at the end of a name in a path, which some systems drop');
  if (DRIVE.test(segment)) doubt('a drive letter in a path');
  if (DEVICE.test(segment)) doubt('the name of a device in a path');
}

/** Is `path` below one of the roots, or one of them itself? `base`: the folder that relative paths begin at. */
export function within(path: string, roots: readonly string[], base?: string): boolean {
  const segments =
    base === undefined || path.startsWith('/')
      ? absoluteSegments(path)
      : [...absoluteSegments(base), ...segmentsOf(path)];
  let inside = false;
  for (const root of roots) {
    const own = absoluteSegments(root);
    if (own.length > segments.length) continue;
    if (own.every((segment, i) => segment === segments[i])) inside = true;
    else if (own.every((segment, i) => folded(segment) === folded(segments[i] ?? '')))
      doubt('a path that differs from a root only by case or Unicode form');
  }
  return inside;
}

function folded(text: string): string {
  return text.normalize('NFKC').toUpperCase().toLowerCase();
}

export function nameOf(path: string): string {
  return segmentsOf(path).at(-1) ?? '';
}

/** With its dot, as in ".txt"; empty where there is none. A dot at the beginning of a name begins no extension. */
export function extensionOf(path: string): string {
  const name = nameOf(path);
  const dot = name.lastIndexOf('.');
  return dot > 0 ? name.slice(dot) : '';
}

export function folderOf(path: string): string {
  const segments = segmentsOf(path);
  segments.pop();
  const joined = segments.join('/');
  return path.startsWith('/') ? `/${joined}` : joined === '' ? '.' : joined;
}
