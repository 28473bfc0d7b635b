/**
 * Do good calls notice that one evaluation in ten hangs? Calls arrive at a fixed rate, whether or not the answers
 * to earlier ones have come (an open loop), and a latency counts from the instant the call was due.
 */
import { performance } from 'node:perf_hooks';
import { portcullis, scratch } from './candidates.ts';
import { argumentsOf, BAD_TOOLS, callLine } from './fixtures/workload.ts';
import { latency, type Measurement, type Row, type Target } from './report.ts';
import { median, spread } from './samples.ts';
import { denialReason, expectText, WireClient } from './wire-client.ts';

type Load = {
  readonly label: string;
  readonly perSecond: number;
  /** The tool of the n-th bad call. */
  readonly badTool: (n: number) => string;
  readonly tools: readonly string[];
};

const LOADS: readonly Load[] = [
  { label: '200/s, one bad tool', perSecond: 200, badTool: () => 'bad', tools: ['bad'] },
  {
    label: '200/s, bad calls over 20 tools',
    perSecond: 200,
    badTool: (n) => BAD_TOOLS[n % BAD_TOOLS.length] ?? 'bad',
    tools: BAD_TOOLS,
  },
  { label: '1000/s, one bad tool', perSecond: 1000, badTool: () => 'bad', tools: ['bad'] },
];

/** What a hung evaluation, and then its bulkhead, may answer. */
const EXPECTED_REASONS = new Set(['evaluation_timeout', 'overload', 'quarantined']);

type Outcome = { readonly goodMs: number[]; readonly reasons: Map<string, number> };

export const faults: Row = {
  name: 'faults',
  question: 'what is the p99 of good calls while a tenth of all evaluations hang?',
  run: async ({ quick }) => {
    const measurements: Measurement[] = [];
    const targets: Target[] = [];
    const notes: string[] = [];
    for (const load of LOADS) {
      const place = scratch();
      const healthy = await WireClient.start(portcullis(place));
      const faulty = await WireClient.start(
        portcullis(place, ...load.tools.flatMap((tool) => ['--inject', `${tool}=hang`])),
      );
      const without: number[] = [];
      const during: number[] = [];
      const ratios: number[] = [];
      const reasons = new Map<string, number>();
      try {
        const seconds = quick ? 1 : 5;
        await openLoop(healthy, load, 0.5, false);
        for (let round = 0; round < (quick ? 1 : 3); round++) {
          const base = await openLoop(healthy, load, seconds, false);
          const hurt = await openLoop(faulty, load, seconds, true);
          for (const value of base.goodMs) without.push(value);
          for (const value of hurt.goodMs) during.push(value);
          ratios.push(spread(hurt.goodMs).p99 / spread(base.goodMs).p99);
          for (const [reason, count] of hurt.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + count);
        }
      } finally {
        await healthy.close();
        await faulty.close();
        place.remove();
      }
      measurements.push(latency(`${load.label}, nothing hangs`, spread(without), 'ms'));
      measurements.push(latency(`${load.label}, 10 % hang`, spread(during), 'ms'));
      targets.push({
        what: `p99 of good calls, times that without hangs (${load.label})`,
        found: median(ratios),
        range: [Math.min(...ratios), Math.max(...ratios)],
        bound: '<=',
        target: 2,
      });
      const seen = [...reasons].map(([reason, count]) => `${count} ${reason}`).join(', ');
      notes.push(`${load.label}: the bad calls were answered with ${seen}`);
    }
    return { measurements, targets, notes };
  },
};

function openLoop(client: WireClient, load: Load, seconds: number, hangs: boolean): Promise<Outcome> {
  const total = Math.round(load.perSecond * seconds);
  const goodMs: number[] = [];
  const reasons = new Map<string, number>();
  const startedAt = performance.now();
  let sent = 0;
  let done = 0;
  return client.until((resolve, reject) => {
    const finishOne = (): void => {
      done += 1;
      if (done === total) resolve({ goodMs, reasons });
    };
    const send = (n: number, dueAt: number): void => {
      const bad = n % 10 === 5;
      const tool = bad ? load.badTool(Math.floor(n / 10)) : 'transfer';
      client.queue(
        (id) => callLine(id, tool, argumentsOf(id)),
        (answer, _sentAt, arrivedAt) => {
          try {
            if (bad && hangs) {
              const reason = denialReason(answer);
              if (reason === null || !EXPECTED_REASONS.has(reason))
                throw new Error(`wrong answer: ${JSON.stringify(answer).slice(0, 400)}`);
              reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
            } else {
              expectText(answer, `ok ${tool} ${answer.id}`);
              if (!bad) goodMs.push(arrivedAt - dueAt);
            }
            finishOne();
          } catch (error) {
            clearInterval(timer);
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        },
      );
    };
    const timer = setInterval(() => {
      const now = performance.now();
      for (; sent < total; sent++) {
        const dueAt = startedAt + (sent * 1000) / load.perSecond;
        if (dueAt > now) break;
        send(sent, dueAt);
      }
      client.flush();
      if (sent === total) clearInterval(timer);
    }, 1);
  });
}
