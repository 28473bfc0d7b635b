import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JobOutcome } from '../../src/gate/ports.ts';
import { Trust } from '../../src/pool/trust.ts';
import { type Script, SHARED } from '../fixtures/workers/script.ts';
import { encode, isFailure, isVerdict, openGate, type Rig, rig, waiting } from './harness.ts';

const PATIENT_PROBES = { firstProbeMs: 3_600_000, maxProbeMs: 3_600_000, windowMs: 3_600_000 };

/** As the gate does it: a failed evaluation is followed by a reading of the same bytes. */
async function judged({ submit }: Rig, script: Script, session = 's'): Promise<JobOutcome> {
  const bytes = encode(script);
  const outcome = await submit(script, { bytes, session });
  if (outcome.kind === 'failure') await submit(script, { bytes, session, kind: 'read' });
  return outcome;
}

async function failing(pool: Rig, times: number, tool = 'bad'): Promise<void> {
  for (let n = 0; n < times; n++) isFailure(await judged(pool, { n, do: 'throw', tool }), 'evaluation_error');
}

describe('a tool whose evaluations keep failing', () => {
  test('is put on probation, quarantined and probed, and its calls are then not judged', async () => {
    const r = await rig({ bulkheads: PATIENT_PROBES });
    try {
      await failing(r, 2);
      assert.deepEqual(r.pool.stats().suspects, []);
      await failing(r, 1);
      assert.equal(r.pool.stats().suspects[0]?.standing, 'probation');
      await failing(r, 7);
      const [suspect] = r.pool.stats().suspects;
      assert.deepEqual(suspect, { session: 's', tool: 'bad', standing: 'quarantined', failuresInARow: 10 });
      const judgedBefore = Atomics.load(r.cells, SHARED.evaluations);
      const outcome = await judged(r, { n: 1, do: 'ok', tool: 'bad' });
      assert.ok(outcome.kind === 'verdict' && outcome.verdict.kind === 'call');
      assert.deepEqual([outcome.verdict.suspect, outcome.verdict.ruling], ['quarantined', undefined]);
      assert.equal(Atomics.load(r.cells, SHARED.evaluations), judgedBefore);
    } finally {
      await r.close();
    }
  });

  test('says nothing of other tools and other sessions', async () => {
    const r = await rig({ bulkheads: PATIENT_PROBES });
    try {
      await failing(r, 10);
      isVerdict(await judged(r, { n: 1, do: 'ok', tool: 'good' }), 1);
      isVerdict(await judged(r, { n: 2, do: 'ok', tool: 'bad' }, 'another session'), 2);
    } finally {
      await r.close();
    }
  });

  test('is cleared by five successes in a row on probation', async () => {
    const r = await rig({ bulkheads: PATIENT_PROBES });
    try {
      await failing(r, 3);
      for (let n = 0; n < 4; n++) isVerdict(await judged(r, { n, do: 'ok', tool: 'bad' }), n);
      assert.equal(r.pool.stats().suspects.length, 1);
      isVerdict(await judged(r, { n: 5, do: 'ok', tool: 'bad' }), 5);
      assert.deepEqual(r.pool.stats().suspects, []);
    } finally {
      await r.close();
    }
  });

  test('is let out of quarantine by a probe that succeeds', async () => {
    const r = await rig({ bulkheads: { ...PATIENT_PROBES, firstProbeMs: 0 } });
    try {
      await failing(r, 10);
      isVerdict(await judged(r, { n: 1, do: 'ok', tool: 'bad' }), 1);
      assert.equal(r.pool.stats().suspects[0]?.standing, 'probation');
    } finally {
      await r.close();
    }
  });

  test('is judged one call at a time, on a lane that the others do not need, and refused beyond a few', async () => {
    const r = await rig({ bulkheads: PATIENT_PROBES, probationLimit: 2 });
    try {
      await failing(r, 3);
      // While a lane is held up, strangers wait their turn behind what holds it: this tool is to be none.
      isVerdict(await judged(r, { n: 0, do: 'ok' }), 0);
      const first = judged(r, { n: 1, do: 'wait', tool: 'bad' });
      await waiting(r.cells, 1);
      const later = [2, 3, 4].map((n) => judged(r, { n, do: 'wait', tool: 'bad' }));
      for (let n = 0; n < 20; n++) isVerdict(await judged(r, { n, do: 'ok' }), n);
      isFailure(await later[2], 'overload');
      assert.equal(Atomics.load(r.cells, SHARED.waiting), 1);
      openGate(r.cells);
      isVerdict(await first, 1);
      isVerdict(await later[0], 2);
      isVerdict(await later[1], 3);
    } finally {
      await r.close();
    }
  });

  test('starts anew under a new policy', async () => {
    const r = await rig({ bulkheads: PATIENT_PROBES });
    try {
      await failing(r, 10);
      const policy = await r.loaded('second');
      assert.deepEqual(r.pool.stats().suspects, []);
      isVerdict(await r.submit({ n: 1, do: 'ok', tool: 'bad' }, { policy }), 1, 'second');
    } finally {
      await r.close();
    }
  });

  test('is not blamed for calls that were refused because the queue was full', async () => {
    const r = await rig({ bulkheads: PATIENT_PROBES, queueBytes: 200, lanes: 1, spares: 0 });
    try {
      for (let n = 0; n < 5; n++) {
        isFailure(await judged(r, { n, do: 'ok', tool: 'x'.repeat(250) }), 'overload');
      }
      assert.deepEqual(r.pool.stats().suspects, []);
    } finally {
      await r.close();
    }
  });
});

describe('after a worker was lost', () => {
  test('calls of tools never judged before run one at a time; those judged before go on as ever', async () => {
    const r = await rig({ runTimeoutMs: 50, bulkheads: PATIENT_PROBES });
    try {
      isVerdict(await judged(r, { n: 0, do: 'ok', tool: 'known' }), 0);
      isFailure(await judged(r, { n: 1, do: 'exit', tool: 'bad' }), 'evaluation_crash');
      await r.pool.ready();
      const strangers = ['a', 'b', 'c', 'd'].map((tool) => judged(r, { n: 2, do: 'wait', tool }));
      await waiting(r.cells, 1);
      for (let n = 0; n < 30; n++) isVerdict(await judged(r, { n, do: 'ok', tool: 'known' }), n);
      assert.equal(Atomics.load(r.cells, SHARED.waiting), 1);
      openGate(r.cells);
      for (const outcome of await Promise.all(strangers)) isVerdict(outcome, 2);
    } finally {
      await r.close();
    }
  });

  test('however many calls of it arrive, a tool that hangs holds up one lane at a time', async () => {
    const r = await rig({ lanes: 2, bulkheads: PATIENT_PROBES, runTimeoutMs: 200 });
    try {
      isVerdict(await judged(r, { n: 0, do: 'ok', tool: 'known' }), 0);
      const first = judged(r, { n: 1, do: 'hang', tool: 'bad' });
      await waiting(r.cells, 1);
      for (let n = 0; n < 5; n++) isVerdict(await judged(r, { n, do: 'ok', tool: 'known' }), n);
      isFailure(await first, 'evaluation_timeout');
      const more = Array.from({ length: 10 }, () => judged(r, { n: 2, do: 'hang', tool: 'bad' }));
      for (let n = 0; n < 50; n++) isVerdict(await judged(r, { n, do: 'ok', tool: 'known' }), n);
      await Promise.all(more);
      // The calls that were refused never ran.
      assert.ok(Atomics.load(r.cells, SHARED.waiting) <= 6);
    } finally {
      await r.close();
    }
  });
});

describe('trust', () => {
  test('is a bit for each tool of each session, set and cleared alone', () => {
    const trust = new Trust(Trust.buffer());
    const bits = [Trust.bitOf(1, 'a'), Trust.bitOf(2, 'a'), Trust.bitOf(1, 'b'), Trust.bitOf(1, 'ab')];
    assert.equal(new Set(bits).size, 4);
    for (const bit of bits) trust.prove(bit);
    trust.doubt(bits[1] as number);
    assert.deepEqual(
      bits.map((bit) => trust.isProven(bit)),
      [true, false, true, true],
    );
    trust.doubt(0);
    trust.doubt(1 << 30);
    trust.clear();
    assert.ok(!bits.some((bit) => trust.isProven(bit)));
  });
});
