/** How many decisions a second does the pool make, and how fast is it whole again, against piscina used plainly? */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import type { JobOutcome } from '../src/gate/ports.ts';
import { readPolicy } from '../src/policy/text/read-policy.ts';
import { createPool, type Pool } from '../src/pool/pool.ts';
import type { Measurement, Row, Target } from './report.ts';
import { median, spread } from './samples.ts';

const POLICY = `version: "1"
tools:
  transfer:
    rules:
      - name: small
        conditions:
          - { path: args.amount, op: lte, value: 500 }
          - { path: args.to, op: regex, value: "^[a-z]+$" }
`;
const IN_FLIGHT = [1, 16, 256] as const;
const TARGET_RATIO = 20;

type Judge = (bytes: Buffer) => Promise<void>;

const line = (amount: number): Buffer =>
  Buffer.from(
    `{"jsonrpc":"2.0","id":${amount},"method":"tools/call","params":{"name":"transfer","arguments":{"amount":${amount},"to":"bob"}}}`,
  );
/** One call in ten is denied; every answer is checked. */
const LINES = Array.from({ length: 100 }, (_, n) => ({
  bytes: line(n % 10 === 5 ? 900 : n),
  allowed: n % 10 !== 5,
}));

function check(verdict: unknown, allowed: boolean): void {
  const effect = (verdict as { ruling?: { effect?: string } }).ruling?.effect;
  if (effect !== (allowed ? 'allow' : 'deny')) throw new Error(`wrong verdict: ${JSON.stringify(verdict)}`);
}

async function rate(judge: (n: number) => Promise<void>, inFlight: number, count: number) {
  const tookUs: number[] = [];
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) {
      const n = next++;
      const from = performance.now();
      await judge(n);
      tookUs.push((performance.now() - from) * 1000);
    }
  };
  const from = performance.now();
  await Promise.all(Array.from({ length: inFlight }, one));
  return { perSecond: count / ((performance.now() - from) / 1000), tookUs };
}

function throughPool(pool: Pool, policy: number): (n: number) => Promise<void> {
  return (n) => {
    const { bytes, allowed } = LINES[n % LINES.length] as (typeof LINES)[number];
    return new Promise((resolve, reject) => {
      const done = (outcome: JobOutcome): void => {
        try {
          check(outcome.kind === 'verdict' ? outcome.verdict : outcome, allowed);
          resolve();
        } catch (error) {
          reject(error as Error);
        }
      };
      pool.submit({ kind: 'judge', bytes, policy, session: 's', done });
    });
  };
}

export const pool: Row = {
  name: 'pool',
  question:
    'how many decisions a second, against one piscina task an evaluation; how soon is a lost lane whole again?',
  run: async ({ quick }) => {
    const reading = readPolicy(Buffer.from(POLICY), 'bench.yaml');
    if (!reading.ok) throw new Error('the policy of the bench is not valid');
    const lanes = createPool({ queueLimit: 4096 });
    const plain = new Piscina({
      filename: fileURLToPath(new URL('./fixtures/evaluate-task.js', import.meta.url)),
      workerData: reading.program,
      minThreads: 1,
      maxThreads: 1,
    });
    try {
      const { handle } = await lanes.load(reading.program, 'bench', { lost: 'crash' });
      await lanes.ready();
      const ours = throughPool(lanes, handle);
      const theirs = async (n: number): Promise<void> => {
        const { bytes, allowed } = LINES[n % LINES.length] as (typeof LINES)[number];
        check(await plain.run(bytes), allowed);
      };
      const measurements: Measurement[] = [];
      const targets: Target[] = [];
      for (const inFlight of IN_FLIGHT) {
        const scale = (quick ? 0.2 : 1) * (inFlight === 1 ? 0.1 : 1);
        const ratios: number[] = [];
        const samples = { ours: [] as number[], theirs: [] as number[] };
        const rates = { ours: [] as number[], theirs: [] as number[] };
        await rate(ours, inFlight, 40_000 * scale);
        await rate(theirs, inFlight, 10_000 * scale);
        for (let round = 0; round < 5; round++) {
          const a = await rate(ours, inFlight, 100_000 * scale);
          const b = await rate(theirs, inFlight, 10_000 * scale);
          ratios.push(a.perSecond / b.perSecond);
          rates.ours.push(a.perSecond);
          rates.theirs.push(b.perSecond);
          for (const us of a.tookUs) samples.ours.push(us);
          for (const us of b.tookUs) samples.theirs.push(us);
        }
        for (const [name, key] of [
          ['one piscina task an evaluation', 'theirs'],
          ['pool', 'ours'],
        ] as const) {
          const { p50, p99 } = spread(samples[key]);
          measurements.push({
            label: `${name}, ${inFlight} in flight`,
            perSecond: median(rates[key]),
            p50,
            p99,
            unit: 'us',
          });
        }
        if (inFlight === 256)
          targets.push({
            what: 'decisions/s, times one piscina task an evaluation (256 in flight)',
            found: median(ratios),
            range: [Math.min(...ratios), Math.max(...ratios)],
            bound: '>=',
            target: TARGET_RATIO,
          });
      }
      await recovery(lanes, handle, quick, measurements, targets);
      return { measurements, targets, notes: ['both on one worker; the pool has a spare beside it'] };
    } finally {
      await lanes.close();
      await plain.destroy();
    }
  },
};

/** From the answer that tells of a killed worker to the next verdict, against starting a piscina worker for it. */
async function recovery(
  lanes: Pool,
  handle: number,
  quick: boolean,
  measurements: Measurement[],
  targets: Target[],
): Promise<void> {
  const lostMs: number[] = [];
  const coldMs: number[] = [];
  const judge: Judge = (bytes) =>
    new Promise((resolve) => {
      lanes.submit({
        kind: 'judge',
        bytes,
        policy: handle,
        session: `s${lostMs.length}`,
        done: () => resolve(),
      });
    });
  const crash = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lost"}}');
  const reading = readPolicy(Buffer.from(POLICY), 'bench.yaml');
  if (!reading.ok) throw new Error('the policy of the bench is not valid');
  for (let round = 0; round < (quick ? 5 : 20); round++) {
    await lanes.ready();
    await judge(crash);
    const from = performance.now();
    await throughPool(lanes, handle)(1);
    lostMs.push(performance.now() - from);
    // A cold worker, by the same measure: from wanting one to its first verdict.
    await new Promise((resolve) => setTimeout(resolve, 200));
    const coldFrom = performance.now();
    const cold = new Piscina({
      filename: fileURLToPath(new URL('./fixtures/evaluate-task.js', import.meta.url)),
      workerData: reading.program,
      minThreads: 0,
      maxThreads: 1,
    });
    check(await cold.run(LINES[1]?.bytes), true);
    coldMs.push(performance.now() - coldFrom);
    await cold.destroy();
  }
  for (const [label, values] of [
    ['a cold worker, to its first verdict', coldMs],
    ['a killed worker, to the next verdict', lostMs],
  ] as const) {
    const { p50, p99 } = spread(values);
    measurements.push({ label, p50, p99, unit: 'ms' });
  }
  targets.push({
    what: 'worker lost to serving again, of a cold worker start',
    found: median(lostMs) / median(coldMs),
    bound: '<=',
    target: 0.2,
  });
}
