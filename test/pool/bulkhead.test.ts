import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Bulkheads } from '../../src/pool/bulkhead.ts';

function failing(times: number, bulkheads = new Bulkheads(), atMs = 0): Bulkheads {
  for (let n = 0; n < times; n++) bulkheads.fail('s', 't', atMs);
  return bulkheads;
}

describe('a bulkhead', () => {
  test('is put on probation by three failures within a minute, and not by three spread wider', () => {
    assert.equal(failing(2).standing('s', 't'), 'clear');
    assert.equal(failing(3).standing('s', 't'), 'probation');
    const spread = new Bulkheads();
    for (const at of [0, 30_000, 60_000, 90_000]) spread.fail('s', 't', at);
    assert.equal(spread.standing('s', 't'), 'clear');
  });

  test('belongs to one tool of one session', () => {
    const bulkheads = failing(3);
    assert.deepEqual(
      [bulkheads.standing('s', 't2'), bulkheads.standing('s2', 't'), bulkheads.standing('st', '')],
      ['clear', 'clear', 'clear'],
    );
  });

  test('is quarantined by ten failures in a row within a minute', () => {
    assert.equal(failing(9).standing('s', 't'), 'probation');
    assert.equal(failing(10).standing('s', 't'), 'quarantined');
    const interrupted = failing(9);
    interrupted.succeed('s', 't');
    failing(9, interrupted);
    assert.equal(interrupted.standing('s', 't'), 'probation');
  });

  test('in quarantine lets one probe through each back-off, which doubles up to a minute', () => {
    const bulkheads = failing(10);
    assert.equal(bulkheads.admits('s', 't', 999), false);
    assert.equal(bulkheads.admits('s', 't', 1_000), true);
    assert.equal(bulkheads.admits('s', 't', 1_000), false, 'one at a time');
    const waits: number[] = [];
    let now = 1_000;
    for (let probe = 0; probe < 8; probe++) {
      bulkheads.fail('s', 't', now);
      const from = now;
      while (!bulkheads.admits('s', 't', now)) now += 1_000;
      waits.push(now - from);
    }
    assert.deepEqual(waits, [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  });

  test('in quarantine is let out by a probe that succeeds, and cleared by five successes in a row', () => {
    const bulkheads = failing(10);
    assert.equal(bulkheads.admits('s', 't', 1_000), true);
    bulkheads.succeed('s', 't');
    assert.equal(bulkheads.standing('s', 't'), 'probation');
    for (let n = 0; n < 3; n++) bulkheads.succeed('s', 't');
    assert.equal(bulkheads.standing('s', 't'), 'probation');
    bulkheads.succeed('s', 't');
    assert.equal(bulkheads.standing('s', 't'), 'clear');
    assert.equal(bulkheads.hasSuspects, false);
  });

  test('whose probe ended without telling anything may be probed again', () => {
    const bulkheads = failing(10);
    assert.equal(bulkheads.admits('s', 't', 1_000), true);
    bulkheads.release('s', 't');
    assert.equal(bulkheads.admits('s', 't', 1_001), true);
  });

  test('is one of a bounded number: the one longest untouched goes first', () => {
    const bulkheads = new Bulkheads({ maxBulkheads: 3 });
    failing(3, bulkheads);
    for (let n = 0; n < 100; n++) bulkheads.fail('s', `other ${n}`, 0);
    assert.equal(bulkheads.standing('s', 't'), 'clear');
    assert.equal(bulkheads.hasSuspects, false);
    for (const tool of ['other 97', 'other 98', 'other 99']) failingTool(bulkheads, tool);
    assert.deepEqual(
      bulkheads.suspects().map(({ tool }) => tool),
      ['other 97', 'other 98', 'other 99'],
    );
  });
});

function failingTool(bulkheads: Bulkheads, tool: string): void {
  for (let n = 0; n < 2; n++) bulkheads.fail('s', tool, 0);
}
