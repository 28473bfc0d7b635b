/** The package's version, read from its own package.json, so that there is one place to change. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const VERSION: string = readVersion(dirname(fileURLToPath(import.meta.url)));

/** Climbs from the compiled file: it lies in dist/src, and an embedding tool may have put it deeper. */
function readVersion(from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    const found = versionIn(join(folder, 'package.json'));
    if (found !== undefined) return found;
    if (dirname(folder) === folder) return '0.0.0-unknown';
  }
}

function versionIn(file: string): string | undefined {
  try {
    const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof manifest !== 'object' || manifest === null) return undefined;
    const { name, version } = manifest as { name?: unknown; version?: unknown };
    return name === 'portcullis' && typeof version === 'string' ? version : undefined;
  } catch {
    // No such file, or none of ours: keep climbing. A version that cannot be found must not stop the gate.
    return undefined;
  }
}
