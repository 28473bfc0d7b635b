import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JobOutcome } from '../../src/gate/ports.ts';
import type { Action } from '../fixtures/workers/script.ts';
import { Prng } from '../gate/prng.ts';
import { encode, idle, isVerdict, rig } from './harness.ts';

const WEIGHTS: Readonly<Partial<Record<Action, number>>> = {
  ok: 80,
  large: 2,
  reject_later: 2,
  throw: 6,
  throw_null: 2,
  stack: 1,
  exit: 2,
  hang: 1,
};
/** What may become of an evaluation that fails by itself; every other one has its own verdict. */
const FAULTS: Readonly<Partial<Record<Action, string>>> = {
  throw: 'evaluation_error',
  throw_null: 'evaluation_error',
  stack: 'evaluation_error',
  exit: 'evaluation_crash',
  hang: 'evaluation_timeout',
};
const SEEDS = [1, 2, 3, 4, 5];
const JOBS = 400;

for (const seed of SEEDS) {
  test(`whatever goes wrong, each job has one outcome, and it is its own (seed ${seed})`, async () => {
    const random = new Prng(seed);
    const r = await rig({
      lanes: 1 + random.int(3),
      spares: random.int(2),
      runTimeoutMs: 300,
      ringBytes: random.pick([2048, 16 * 1024, 256 * 1024]),
      firstRestartMs: 5,
      restFactor: 0,
    });
    try {
      const policies = [{ name: 'first', handle: r.handle }];
      const outcomes: number[] = [];
      const errors: unknown[] = [];
      const check = (n: number, act: Action, policy: string, outcome: JobOutcome): void => {
        const fault = FAULTS[act];
        if (fault === undefined) return isVerdict(outcome, n, policy);
        const isKeptApart =
          outcome.kind === 'verdict' && outcome.verdict.kind === 'call' && outcome.verdict.suspect;
        if (isKeptApart === 'quarantined') return;
        assert.ok(
          outcome.kind === 'failure' && [fault, 'overload'].includes(outcome.reason),
          JSON.stringify(outcome),
        );
      };
      for (let n = 0; n < JOBS; ) {
        for (let burst = 1 + random.int(30); burst > 0 && n < JOBS; burst--, n++) {
          const number = n;
          const act = random.weighted(WEIGHTS as Record<Action, number>);
          const policy = random.pick(policies);
          const session = random.pick(['s1', 's2']);
          const bytes = encode({ n, do: act });
          const job = { bytes, policy: policy.handle, session };
          const done = (outcome: JobOutcome): void => {
            outcomes[number] = (outcomes[number] ?? 0) + 1;
            try {
              check(number, act, policy.name, outcome);
            } catch (error) {
              errors.push(error);
            }
            if (outcome.kind === 'failure') r.pool.submit({ ...job, kind: 'read', done: () => {} });
          };
          r.pool.submit({ ...job, kind: 'judge', done });
          if (random.chance(10)) r.pool.flush();
        }
        r.pool.flush();
        if (random.chance(10)) {
          const name = `policy ${n}`.replace(' ', '');
          policies.push({ name, handle: await r.loaded(name) });
          const gone = policies.shift();
          if (gone !== undefined) r.pool.unload(gone.handle);
        }
        if (random.chance(50)) await idle(r.pool);
      }
      await idle(r.pool);
      assert.deepEqual(errors, []);
      assert.deepEqual(outcomes, Array(JOBS).fill(1));
      await r.pool.ready();
      // A policy goes in the turn after its last evaluation.
      await new Promise((resolve) => setImmediate(resolve));
      const { bytes, queued, inFlight, policies: held } = r.pool.stats();
      assert.deepEqual({ bytes, queued, inFlight, held }, { bytes: 0, queued: 0, inFlight: 0, held: 1 });
    } finally {
      await r.close();
    }
  });
}
