/**
 * PORTCULLIS_SEED=n runs the life of that seed alone, exactly as it was; PORTCULLIS_LIVES=n runs n lives instead of the
 * usual number, to look further than every test run does.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Violation } from './fact.ts';
import { type Life, simulate } from './simulation.ts';

const LENGTH = 700;
const LIVES = 600;
const lives = Number(process.env['PORTCULLIS_LIVES'] ?? LIVES);
const seed = process.env['PORTCULLIS_SEED'];

/** What has to happen in the usual number of lives, or the simulation has stopped looking there. */
const SITUATIONS = [
  'forward call',
  'forward request',
  'forward notification',
  'forward response',
  'relay',
  'discard',
  'settle commit',
  'settle rollback',
  'peek',
  'drained',
  'record allow allowed',
  'record allow failed_open',
  'record allow would deny rule_denied',
  'record allow would deny limit_reached',
  'record allow would deny state_unavailable',
  'record allow would deny evaluation_timeout',
  'record allow would deny quarantined',
  'record allow would deny overload',
  'record deny cancelled',
  'record again deny cancelled',
  'record again deny upstream_unavailable',
  'record deny malformed_message',
  'record deny daemon_unavailable',
  'reply denial rule_denied',
  'reply denial limit_reached',
  'reply denial state_unavailable',
  'reply denial log_unavailable',
  'reply denial evaluation_crash',
  'reply denial overload',
  'reply denial quarantined',
  'reply error malformed_message',
  'reply error evaluation_crash',
  'reply error overload',
  'reply error upstream_timeout',
  'reply error upstream_unavailable',
  'reply error daemon_unavailable',
];

function live(one: number): Life {
  try {
    return simulate(one, LENGTH);
  } catch (error) {
    const how = `replay it with: PORTCULLIS_SEED=${one} node --test dist/test/gate/simulation.test.js`;
    if (error instanceof Violation) assert.fail(`seed ${one}: ${error.message}\n  ${how}`);
    throw new Error(`seed ${one}: the gate threw; ${how}`, { cause: error });
  }
}

describe('a random life of the gate', () => {
  test('keeps every promise after every step', () => {
    if (seed !== undefined) {
      assert.ok(live(Number(seed)).steps > 0);
      return;
    }
    let steps = 0;
    const seen = new Map<string, number>();
    for (let one = 1; one <= lives; one++) {
      const life = live(one);
      steps += life.steps;
      for (const [what, times] of life.seen) seen.set(what, (seen.get(what) ?? 0) + times);
    }
    if (lives < LIVES) return;
    assert.ok(steps >= 200_000, `only ${steps} steps were taken`);
    for (const what of SITUATIONS)
      assert.ok((seen.get(what) ?? 0) >= 20, `"${what}" came up ${seen.get(what) ?? 0} times`);
  });

  test('is the same again from the same seed, and another from another', () => {
    const first = simulate(7, 300);
    assert.deepEqual(simulate(7, 300), first);
    assert.notEqual(simulate(8, 300).trace, first.trace);
  });
});
