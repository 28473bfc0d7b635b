/** Loading a policy file: whatever stands at the path comes out as a program with its digest, or as diagnostics. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { canonicalJson } from '../../src/store/canonical-json.ts';
import { loadPolicy } from '../../src/store/load-policy.ts';

const folder = mkdtempSync(join(tmpdir(), 'portcullis-store-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

async function codeOf(path: string): Promise<string | undefined> {
  const loaded = await loadPolicy(path);
  return loaded.ok ? undefined : loaded.diagnostics[0]?.code;
}

async function digestAt(name: string, text: string): Promise<string> {
  writeFileSync(at(name), text);
  const loaded = await loadPolicy(at(name));
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.digest;
}

describe('a path', () => {
  test('without a file, or through a file, is missing', async () => {
    writeFileSync(at('plain'), 'version: "1"\n');
    assert.equal(await codeOf(at('none')), 'file_missing');
    assert.equal(await codeOf(at('plain/none')), 'file_missing');
    symlinkSync(at('gone'), at('dangling'));
    assert.equal(await codeOf(at('dangling')), 'file_missing');
  });

  test('to a directory is no file', async () => assert.equal(await codeOf(folder), 'not_a_file'));

  test('to a pipe that nobody writes to is refused without waiting', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    assert.equal(await codeOf(at('pipe')), 'not_a_file');
  });

  test('to a device without end is refused', async () =>
    assert.equal(await codeOf('/dev/zero'), 'not_a_file'));

  test('in a ring of links, or with a NUL in it, is unreadable', async () => {
    symlinkSync(at('ring'), at('ring'));
    assert.equal(await codeOf(at('ring')), 'file_unreadable');
    assert.equal(await codeOf('a\0b'), 'file_unreadable');
  });

  test('to a file beyond the cap is refused', async () => {
    writeFileSync(at('large'), ' '.repeat(1024 * 1024 + 1));
    assert.equal(await codeOf(at('large')), 'file_too_large');
  });
});

test('faults carry the path as it was given', async () => {
  writeFileSync(at('bad.yaml'), 'version: "3"\n');
  const loaded = await loadPolicy(at('bad.yaml'));
  assert.equal(!loaded.ok && loaded.diagnostics[0]?.file, at('bad.yaml'));
});

describe('the digest', () => {
  test('is the same for files that mean the same, and pinned', async () => {
    const plain = await digestAt(
      'a',
      'version: "1"\ndefault: deny\ntools: {t: {rules: [{name: r, conditions: [{path: args.x, op: lte, value: 1e3}]}]}}\n',
    );
    const other = await digestAt(
      'b',
      '# the same\n{"version":"1","tools":{"t":{"rules":[{"conditions":[{"value":1000.0,"op":"lte","path":"args.x"}],"name":"r"}]}},"default":"deny"}\n',
    );
    assert.equal(plain, other);
    assert.match(plain, /^[0-9a-f]{64}$/);
    assert.equal(
      await digestAt('c', 'version: "1"\n'),
      'b3e61e084d4de73a523c6afa087a36a7141a8c985771d54710691c64457d2652',
    );
  });

  test('differs for files that mean something else', async () => {
    const texts = [
      'version: "1"\n',
      'version: "1"\ndefault: deny\n',
      'version: "1"\nhide: [a]\n',
      'version: "1"\nhide: [a, b]\n',
      'version: "1"\nhide: ["a,b"]\n',
    ];
    const digests = await Promise.all(texts.map((text, i) => digestAt(`d${i}`, text)));
    assert.equal(new Set(digests).size, texts.length);
  });

  test('stands on JSON that depends on the value alone', () => {
    assert.equal(
      canonicalJson({ b: [1, { d: null, c: 'x' }], a: undefined, Z: true }),
      '{"Z":true,"b":[1,{"c":"x","d":null}]}',
    );
  });
});
