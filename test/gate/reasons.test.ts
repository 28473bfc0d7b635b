import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { ALLOW_REASONS, DENY_REASONS } from '../../src/decision/reason.ts';

// Tests run from dist/test/gate.
const text = readFileSync(new URL('../../../docs/reasons.md', import.meta.url), 'utf8');

function codesUnder(heading: string): string[] {
  const section = text.split('\n## ').find((part) => part.startsWith(heading)) ?? '';
  return [...section.matchAll(/^\| `([a-z_]+)` \|/gm)].map((match) => match[1] as string);
}

describe('docs/reasons.md', () => {
  test('names every reason of a denial and no other', () => {
    assert.deepEqual(codesUnder('Denied').sort(), [...DENY_REASONS].sort());
  });

  test('names every reason of an allow and no other', () => {
    assert.deepEqual(codesUnder('Allowed').sort(), [...ALLOW_REASONS].sort());
  });
});
