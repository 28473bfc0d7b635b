/** The project's own files, for tests about them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** From dist/test/project. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

export function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

/** Files under a folder, relative to the project, with slashes. */
export function filesUnder(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length).split(sep).join('/'))
    .sort();
}

/** The rows, without head and rule, of the first Markdown table behind a heading. */
export function tableAfter(file: string, heading: string): string[][] {
  const lines = read(file).split('\n');
  const from = lines.indexOf(heading);
  if (from < 0) throw new Error(`${file} has no heading ${heading}`);
  const start = lines.findIndex((line, index) => index > from && line.startsWith('|'));
  const end = lines.findIndex((line, index) => index > start && !line.startsWith('|'));
  return lines.slice(start + 2, end < 0 ? undefined : end).map((line) =>
    line
      .replaceAll('\\|', '\u0000')
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.replaceAll('\u0000', '|').trim()),
  );
}

/** What stands in backticks in a cell. */
export function cells(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
}
