/** How much memory does `portcullis run` hold, idle and after work, against a Node process with an empty pool of as many threads? */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { EMPTY_POOL, portcullis, scratch } from './candidates.ts';
import { argumentsOf, callLine } from './fixtures/workload.ts';
import { type Memory, memoryOf } from './process-cost.ts';
import type { Measurement, Row } from './report.ts';
import { expectText, WireClient } from './wire-client.ts';

/** Long enough for start-up garbage to be collected or not, the same for both. */
const SETTLE_MS = 1_500;

export const memory: Row = {
  name: 'memory',
  question: 'how much memory does `run` hold, against node with an empty pool of as many threads?',
  run: async ({ quick }) => {
    const place = scratch();
    const client = await WireClient.start(portcullis(place));
    try {
      await pause(SETTLE_MS);
      const idle = memoryOf(client.pid);
      await client.closedLoop({
        inFlight: 64,
        calls: quick ? 2_000 : 10_000,
        line: (id) => callLine(id, 'transfer', argumentsOf(id)),
        check: (answer) => expectText(answer, `ok transfer ${answer.id}`),
      });
      await pause(SETTLE_MS);
      const worked = memoryOf(client.pid);
      const threads = workerThreads(idle);
      const reference = await emptyPool(threads);
      const ratio = (of: Memory): number => (of.pssKiB ?? of.rssKiB) / (reference.pssKiB ?? reference.rssKiB);
      const measurements: Measurement[] = [
        figure(`node with an empty pool of ${threads}`, reference),
        figure('portcullis run, idle', idle),
        figure(`portcullis run, after ${quick ? 2_000 : 10_000} calls`, worked),
      ];
      return {
        measurements,
        targets: [
          {
            what: 'memory of an idle `run`, times the empty pool',
            found: ratio(idle),
            bound: '<=' as const,
            target: 1.5,
          },
          {
            what: 'memory of `run` after calls, times the empty pool',
            found: ratio(worked),
            bound: '<=' as const,
            target: 1.5,
          },
        ],
        notes: ['proportional set size where the system tells it, else resident set size'],
      };
    } finally {
      await client.close();
      place.remove();
    }
  },
};

function figure(label: string, of: Memory): Measurement {
  const pss = of.pssKiB === null ? '' : `, PSS ${(of.pssKiB / 1024).toFixed(1)} MiB`;
  return { label, figure: `RSS ${(of.rssKiB / 1024).toFixed(1)} MiB${pss}, ${of.threads ?? '?'} threads` };
}

async function emptyPool(threads: number): Promise<Memory> {
  const child = spawn(process.execPath, [EMPTY_POOL, String(threads)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await pause(SETTLE_MS);
  const found = memoryOf(child.pid ?? -1);
  child.stdin.end();
  await once(child, 'exit');
  return found;
}

/** Threads beyond those that an idle Node process of this version has, which are the pool's. */
function workerThreads(of: Memory): number {
  const own = memoryOf(process.pid).threads;
  if (of.threads === null || own === null) return 2;
  return Math.max(1, of.threads - own);
}
