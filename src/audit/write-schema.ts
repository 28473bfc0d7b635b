/** Writes dist/schemas/decision.schema.json. Part of the build: `node dist/src/audit/write-schema.js`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { decisionJsonSchema } from './record.ts';

const folder = new URL('../../schemas/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL('decision.schema.json', folder), `${JSON.stringify(decisionJsonSchema(), null, 2)}\n`);
