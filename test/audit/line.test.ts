import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decisionLine, MAX_NAME_CHARS, MAX_TEXT_CHARS } from '../../src/audit/line.ts';
import { decisionJsonSchema, decisionRecord } from '../../src/audit/record.ts';
import type { Decision } from '../../src/decision/decision.ts';
import { decision } from './decisions.ts';

const DOCS = new URL('../../../docs/decision-log.md', import.meta.url);

const FULL: Decision = decision({
  effect: 'deny',
  reason: 'limit_reached',
  message: 'Rule "three a day" is spent.',
  rule: { tool: 'create_*', rule: 'three a day', index: 2 },
  mode: 'dry_run',
  failMode: 'open',
  wouldDeny: 'limit_reached',
  failure: 'evaluation_timeout',
  injected: true,
  reservation: 'r-1',
  retryAtMs: Date.UTC(2026, 2, 2),
});

describe('the line of a decision', () => {
  test('is pinned, field by field', () => {
    assert.equal(
      decisionLine(FULL),
      '{"v":1,"id":"d-1","time":"2026-03-01T12:30:30.500Z","session":"s-1","server":"github","tool":"create_issue","request_id":7,' +
        '"effect":"deny","reason":"limit_reached","rule":{"tool":"create_*","name":"three a day","index":2},' +
        '"message":"Rule \\"three a day\\" is spent.","policy_digest":"sha256:00ff","mode":"dry_run","fail_mode":"open",' +
        '"would_deny":"limit_reached","failure":"evaluation_timeout","injected":true,"reservation":"r-1",' +
        '"retry_at":"2026-03-02T00:00:00.000Z","queue_us":12,"evaluation_us":32,"total_us":88}\n',
    );
  });

  test('leaves out what does not apply, and says null for a tool or id that could not be read', () => {
    const record = JSON.parse(decisionLine(decision({ tool: null, requestId: null }))) as Record<
      string,
      unknown
    >;
    assert.deepEqual(Object.keys(record), [
      'v',
      'id',
      'time',
      'session',
      'server',
      'tool',
      'request_id',
      'effect',
      'reason',
      'message',
      'policy_digest',
      'mode',
      'fail_mode',
      'queue_us',
      'evaluation_us',
      'total_us',
    ]);
    assert.deepEqual([record.tool, record.request_id], [null, null]);
  });

  test('shows a request id as what it is, and one that is not canonical as text', () => {
    const shown = (requestId: string): unknown =>
      (JSON.parse(decisionLine(decision({ requestId }))) as { request_id: unknown }).request_id;
    assert.equal(shown('7'), 7);
    assert.equal(shown('-7'), -7);
    assert.equal(shown('"7"'), '7');
    assert.equal(shown('"a\\"b"'), 'a"b');
    assert.equal(shown('7,"effect":"allow"'), '7,"effect":"allow"');
    assert.equal(shown('{"a":1}'), '{"a":1}');
    assert.equal(shown('007'), '007');
    assert.equal(shown('7\n'), '7\n');
  });

  test('is one line that reads back to the same texts, whatever they hold', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\n', '\r', '\u2028', '"', '\\', '\ud800', '\u0000', '","effect":"allow'),
    );
    fc.assert(
      fc.property(text, text, text, text, (tool, session, message, rule) => {
        const line = decisionLine(decision({ tool, session, message, rule: { tool, rule, index: 0 } }));
        assert.equal(line.indexOf('\n'), line.length - 1);
        const record = decisionRecord.parse(JSON.parse(line));
        assert.deepEqual(
          [record.tool, record.session, record.message, record.rule?.name],
          [tool, session, message, rule],
        );
      }),
    );
  });

  test('cuts texts that an agent made long, and says how long they were', () => {
    const long = 'x'.repeat(1_000_000);
    const line = decisionLine(
      decision({
        tool: long,
        requestId: JSON.stringify(long),
        message: long,
        session: `${'x'.repeat(MAX_NAME_CHARS - 1)}😀`,
      }),
    );
    assert.ok(line.length < 4 * (MAX_TEXT_CHARS + 100), `${line.length}`);
    const record = decisionRecord.parse(JSON.parse(line));
    assert.equal(record.tool, `${'x'.repeat(MAX_NAME_CHARS)}… (1000000 in all)`);
    assert.equal(record.message, `${'x'.repeat(MAX_TEXT_CHARS)}… (1000000 in all)`);
  });

  test('says null for times that were not measured instead of breaking', () => {
    const line = decisionLine(
      decision({
        timeMs: Number.NaN,
        retryAtMs: 1e300,
        queueUs: Number.NaN,
        evaluationUs: -1,
        totalUs: Number.POSITIVE_INFINITY,
      }),
    );
    const record = decisionRecord.parse(JSON.parse(line));
    assert.deepEqual(
      [record.time, record.retry_at, record.queue_us, record.evaluation_us, record.total_us],
      [null, null, null, null, null],
    );
  });

  test('writes any effect but allow as deny', () => {
    const record = decisionRecord.parse(JSON.parse(decisionLine(decision({ effect: 'ALLOW' as 'allow' }))));
    assert.equal(record.effect, 'deny');
  });
});

describe('the description of a line', () => {
  test('the schema, the documentation and a full line name the same fields in the same order', () => {
    const documented = [...readFileSync(DOCS, 'utf8').matchAll(/^\| `(\w+)` \|/gm)].map((m) => m[1]);
    const described = Object.keys(decisionJsonSchema().properties as object);
    const line = Object.keys(JSON.parse(decisionLine(FULL)) as object);
    assert.deepEqual(line, documented);
    assert.deepEqual([...line].sort(), [...described].sort());
  });

  test('the documentation says `always` of exactly the fields that the schema requires', () => {
    const always = [...readFileSync(DOCS, 'utf8').matchAll(/^\| `(\w+)` \| always/gm)].map((m) => m[1]);
    assert.deepEqual([...always].sort(), [...(decisionJsonSchema().required as string[])].sort());
  });

  test('the schema refuses a field it does not know', () => {
    assert.equal(
      decisionRecord.safeParse({ ...(JSON.parse(decisionLine(FULL)) as object), arguments: {} }).success,
      false,
    );
  });
});
