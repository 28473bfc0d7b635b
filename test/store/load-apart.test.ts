import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { loadPoliciesApart } from '../../src/store/load-apart.ts';
import { loadPolicies } from '../../src/store/load-policy.ts';

const folder = mkdtempSync(join(tmpdir(), 'portcullis-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const reader = (text: string): URL => pathToFileURL(file('reader.mjs', text));

describe('a policy read in a thread of its own', () => {
  test('is what reading it here gives', async () => {
    const good = file('good.yaml', 'version: "1"\ndefault: deny\ntools:\n  a:\n    rules: []\n');
    const bad = file('bad.yaml', 'version: "1"\ntoolz: {}\n');
    assert.deepEqual(await loadPoliciesApart([good]), await loadPolicies([good]));
    assert.deepEqual(await loadPoliciesApart([bad]), await loadPolicies([bad]));
  });

  for (const [what, text] of [
    ['throws', 'throw new Error("secret")'],
    ['exits', 'process.exit(0)'],
    ['exhausts its memory', 'const held = []; for (;;) held.push(new Array(10000).fill(held.length))'],
    ['never answers', 'setInterval(() => {}, 1000)'],
    ['hangs', 'for (;;);'],
  ] as const) {
    test(`is refused when its reader ${what}`, async () => {
      const timeoutMs = what.startsWith('exhausts') ? 60_000 : 500;
      const loaded = await loadPoliciesApart(['p.yaml'], { module: reader(text), timeoutMs });
      assert.ok(!loaded.ok);
      assert.deepEqual(
        loaded.failures
          .flatMap(({ diagnostics }) => diagnostics)
          .map(({ code, file: where }) => [code, where]),
        [['reader_failed', 'p.yaml']],
      );
      assert.doesNotMatch(JSON.stringify(loaded), /secret/);
    });
  }
});
