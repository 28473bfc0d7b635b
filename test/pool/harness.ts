/** A pool with scripted workers, and ways to submit to it and to wait for what its workers do. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import type { JobKind, JobOutcome } from '../../src/gate/ports.ts';
import { createPool, type Pool, type PoolOptions } from '../../src/pool/pool.ts';
import { type Script, type ScriptedProgram, SHARED } from '../fixtures/workers/script.ts';

export const fixture = (name: string): string =>
  fileURLToPath(new URL(`../fixtures/workers/${name}.js`, import.meta.url));

export type Rig = {
  readonly pool: Pool;
  readonly cells: Int32Array;
  readonly handle: number;
  readonly notes: string[];
  submit(
    script: Script,
    how?: { kind?: JobKind; session?: string; policy?: number; bytes?: Uint8Array },
  ): Promise<JobOutcome>;
  /** Submits all before any is handed over. */
  batch(...scripts: readonly Script['do'][]): Promise<JobOutcome[]>;
  loaded(name: string, more?: Partial<ScriptedProgram>): Promise<number>;
  close(): Promise<void>;
};

/** Ample times: only tests about a deadline shorten it. */
const PATIENT: PoolOptions = { lanes: 1, runTimeoutMs: 20_000, totalTimeoutMs: 60_000 };

export async function rig(options: PoolOptions = {}): Promise<Rig> {
  const notes: string[] = [];
  const pool = createPool({
    ...PATIENT,
    workerFile: fixture('scripted'),
    note: (_, message) => notes.push(message),
    ...options,
  });
  const shared = new SharedArrayBuffer(64);
  const loaded = async (name: string, more: Partial<ScriptedProgram> = {}): Promise<number> => {
    const program: ScriptedProgram = { cells: shared, name, ...more };
    return (await pool.load(program, `digest of ${name}`)).handle;
  };
  const handle = await loaded('first');
  await pool.ready();
  const submit: Rig['submit'] = (script, how = {}) =>
    new Promise((done) => {
      const bytes = how.bytes ?? encode(script);
      pool.submit({
        kind: how.kind ?? 'judge',
        bytes,
        policy: how.policy ?? handle,
        session: how.session ?? 's',
        done,
      });
    });
  return {
    pool,
    cells: new Int32Array(shared),
    handle,
    notes,
    submit,
    batch: (...scripts) => Promise.all(scripts.map((act, n) => submit({ n, do: act }))),
    loaded,
    close: () => pool.close(),
  };
}

export function encode(script: Script): Uint8Array {
  return Buffer.from(JSON.stringify(script));
}

/** Until so many evaluations wait at the gate or hang. */
export async function waiting(cells: Int32Array, count: number): Promise<void> {
  for (
    let seen = Atomics.load(cells, SHARED.waiting);
    seen < count;
    seen = Atomics.load(cells, SHARED.waiting)
  ) {
    const change = Atomics.waitAsync(cells, SHARED.waiting, seen);
    if (change.async) await change.value;
  }
}

export function openGate(cells: Int32Array): void {
  Atomics.store(cells, SHARED.gate, 1);
  Atomics.notify(cells, SHARED.gate);
}

export function isVerdict(outcome: JobOutcome | undefined, n: number, policy = 'first'): void {
  assert.equal(outcome?.kind, 'verdict', JSON.stringify(outcome));
  assert.ok(outcome.kind === 'verdict' && outcome.verdict.kind === 'call');
  assert.equal(outcome.verdict.id, String(n));
  assert.ok(outcome.verdict.ruling?.effect === 'deny');
  assert.equal(outcome.verdict.ruling.denial.message.split(' ')[0], policy);
}

export function isFailure(outcome: JobOutcome | undefined, reason: string): void {
  assert.equal(outcome?.kind, 'failure', JSON.stringify(outcome));
  assert.equal(outcome.kind === 'failure' && outcome.reason, reason);
}

/** Until nothing is under way. */
export async function idle(pool: Pool): Promise<void> {
  while (pool.stats().inFlight + pool.stats().queued > 0)
    await new Promise((resolve) => setImmediate(resolve));
}
