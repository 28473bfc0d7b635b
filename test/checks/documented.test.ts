/** The example of docs/checks.md is loaded and judges calls as it says; the types say what the page says. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { ABSENT, MAX_REASON } from '../../src/checks/guest.ts';
import { MAX_INPUT_BYTES } from '../../src/checks/input.ts';
import { createSandbox, DEFAULT_LIMITS } from '../../src/checks/sandbox.ts';
import type { Check } from '../../src/policy-types.ts';
import { loadPolicy } from '../../src/store/load-policy.ts';
import { readArgs } from '../policy/strict-json.ts';

const TEXT = readFileSync(new URL('../../../docs/checks.md', import.meta.url), 'utf8');

/** Blocks of code that begin with the name of their file. */
const FILES = [...TEXT.matchAll(/^```js\n\/\/ (\S+)\n([\s\S]*?)^```$/gm)].map(
  ([, name = '', code = '']) => [name, code] as const,
);
const POLICY = /^```yaml\n([\s\S]*?)^```$/m.exec(TEXT)?.[1] ?? '';

describe('docs/checks.md', () => {
  test('shows a check that can be loaded, and that denies what it says', async (t) => {
    const root = mkdtempSync(join(tmpdir(), 'portcullis-'));
    t.after(() => rmSync(root, { recursive: true, force: true }));
    for (const [name, text] of [['policy.yaml', POLICY], ...FILES] as const) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), text);
    }
    const loaded = await loadPolicy(join(root, 'policy.yaml'));
    assert.ok(loaded.ok, JSON.stringify(loaded));
    const bundle = loaded.program.checks;
    assert.ok(bundle !== undefined);
    assert.deepEqual(
      bundle.modules.map(({ name }) => name),
      FILES.map(([name]) => name).sort(),
    );
    const sandbox = await createSandbox(bundle);
    const judge = (args: string): unknown =>
      sandbox.run('./checks/refund.mjs', {
        args: readArgs(args),
        tool: { name: 'create_refund', annotations: null },
        server: 'bank',
        session: { id: 's1', clientName: null, clientVersion: null, startedMs: 0 },
        nowMs: 0,
      });
    assert.deepEqual(judge('{"amount":100,"currency":"eur"}'), { kind: 'passed' });
    assert.deepEqual(judge('{"amount":101,"currency":"eur"}'), {
      kind: 'denied',
      reason: 'at most 100 in eur',
    });
    assert.deepEqual(judge('{"amount":1,"currency":"gbp"}'), { kind: 'denied', reason: 'at most 0 in gbp' });
  });

  test('gives the bounds that are in force and names what is absent', () => {
    assert.match(TEXT, new RegExp(`within ${DEFAULT_LIMITS.timeoutMs} ms`));
    assert.match(TEXT, new RegExp(`at most ${MAX_REASON} characters`));
    assert.match(TEXT, new RegExp(`larger than ${MAX_INPUT_BYTES >> 20} MiB`));
    for (const name of ABSENT) assert.ok(TEXT.includes(`\`${name}\``), name);
  });

  test('has types that take what a check may answer and nothing else', () => {
    const passes: Check = () => true;
    const denies: Check = ({ args, session, nowMs }) => ({
      deny: `${Object.keys(args).length} ${session.client.name} ${nowMs}`,
    });
    // @ts-expect-error: false is no answer
    const declines: Check = () => false;
    // @ts-expect-error: a promise is not waited for
    const waits: Check = async () => true;
    const writes: Check = ({ tool }) => {
      // @ts-expect-error: a call is frozen
      tool.name = 'other';
      return true;
    };
    assert.equal([passes, denies, declines, waits, writes].length, 5);
  });
});
