/** Build step: writes the policy format's JSON Schema, for editors, to the path given (default dist/schemas/policy.schema.json). */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { policySchema } from './schema.ts';

export function policyJsonSchema(): object {
  return z.toJSONSchema(policySchema, { io: 'input', target: 'draft-2020-12' });
}

export function writeSchema(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(policyJsonSchema(), null, 2)}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeSchema(process.argv[2] ?? 'dist/schemas/policy.schema.json');
}
