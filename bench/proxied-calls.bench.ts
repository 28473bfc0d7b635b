/**
 * What does Portcullis cost a proxied call, compared with a proxy that judges nothing and with no proxy at all?
 * The candidates stay up and take turns, round by round, so that whatever else the machine does hits all of them.
 */
import { PASS_THROUGH, portcullis, scratch, UPSTREAM } from './candidates.ts';
import { argumentsOf, callLine } from './fixtures/workload.ts';
import { cpuUs } from './process-cost.ts';
import { type BenchOptions, latency, type Measurement, type Row, type Target } from './report.ts';
import { median, spread } from './samples.ts';
import { type Answer, expectText, WireClient } from './wire-client.ts';

const IN_FLIGHT = 64;
const NAMES = ['no proxy', 'pass-through', 'portcullis'] as const;
type Name = (typeof NAMES)[number];
type Round = { readonly perSecond: number; readonly cpuUs: number; readonly latenciesMs: Float64Array };

const line = (id: number): string => callLine(id, 'transfer', argumentsOf(id));
const check = (answer: Answer): void => expectText(answer, `ok transfer ${answer.id}`);

export const proxiedCalls: Row = {
  name: 'proxied-calls',
  question: 'what does a proxied call cost, against an SDK pass-through without a policy?',
  run: async ({ quick }: BenchOptions) => {
    const place = scratch();
    const clients = new Map<Name, WireClient>();
    try {
      clients.set('no proxy', await WireClient.start(UPSTREAM));
      clients.set('pass-through', await WireClient.start(PASS_THROUGH));
      clients.set('portcullis', await WireClient.start(portcullis(place)));
      const loaded = await alternate(clients, IN_FLIGHT, quick ? 4_000 : 30_000, quick ? 3 : 7);
      const single = await alternate(clients, 1, quick ? 500 : 3_000, quick ? 3 : 7);
      return summarise(loaded, single);
    } finally {
      for (const client of clients.values()) await client.close();
      place.remove();
    }
  },
};

async function alternate(
  clients: ReadonlyMap<Name, WireClient>,
  inFlight: number,
  calls: number,
  rounds: number,
): Promise<Map<Name, Round[]>> {
  const results = new Map<Name, Round[]>(NAMES.map((name) => [name, []]));
  // Round -1 warms up and is not kept.
  for (let round = -1; round < rounds; round++) {
    for (const [name, client] of clients) {
      const before = cpuUs(client.pid);
      const { latenciesMs, elapsedMs } = await client.closedLoop({ inFlight, calls, line, check });
      const cpu = (cpuUs(client.pid) - before) / calls;
      if (round >= 0)
        results.get(name)?.push({ perSecond: (calls * 1000) / elapsedMs, cpuUs: cpu, latenciesMs });
    }
  }
  return results;
}

function summarise(loaded: Map<Name, Round[]>, single: Map<Name, Round[]>) {
  const measurements: Measurement[] = [];
  for (const [name, rounds] of loaded) {
    const perSecond = median(rounds.map((round) => round.perSecond));
    const cpu = median(rounds.map((round) => round.cpuUs));
    const figure = name === 'no proxy' ? '' : `${cpu.toFixed(1)} µs CPU a call in the proxy`;
    const values = spread(rounds.flatMap((round) => [...round.latenciesMs]));
    measurements.push({ ...latency(`${name}, ${IN_FLIGHT} in flight`, values, 'ms', perSecond), figure });
  }
  const added = (name: Name, share: 'p50' | 'p99'): number[] =>
    pairs(single, name, 'no proxy').map(
      ([one, base]) => 1000 * (spread(one.latenciesMs)[share] - spread(base.latenciesMs)[share]),
    );
  for (const [name, rounds] of single) {
    const values = spread(rounds.flatMap((round) => [...round.latenciesMs].map((ms) => ms * 1000)));
    const extra = `added p50 ${median(added(name, 'p50')).toFixed(0)} µs, p99 ${median(added(name, 'p99')).toFixed(0)} µs`;
    measurements.push({
      ...latency(`${name}, one at a time`, values, 'us'),
      figure: name === 'no proxy' ? '' : extra,
    });
  }
  const ratios = (of: (round: Round) => number): number[] =>
    pairs(loaded, 'portcullis', 'pass-through').map(([one, base]) => of(one) / of(base));
  const ours = added('portcullis', 'p50');
  const theirs = added('pass-through', 'p50');
  const targets: Target[] = [
    target(
      'CPU a proxied call, of the pass-through',
      ratios((round) => round.cpuUs),
      '<=',
      1 / 5,
    ),
    target(
      'proxied calls/s, times the pass-through',
      ratios((round) => round.perSecond),
      '>=',
      3,
    ),
    target(
      'added p50 one call at a time, of the pass-through',
      ours.map((value, index) => value / (theirs[index] ?? Number.NaN)),
      '<=',
      0.6,
    ),
  ];
  return { measurements, targets, notes: [] };
}

function pairs(results: Map<Name, Round[]>, one: Name, base: Name): (readonly [Round, Round])[] {
  const bases = results.get(base) ?? [];
  return (results.get(one) ?? []).flatMap((round, index) => {
    const other = bases[index];
    return other === undefined ? [] : [[round, other] as const];
  });
}

function target(what: string, ratios: readonly number[], bound: '>=' | '<=', aim: number): Target {
  return {
    what,
    found: median(ratios),
    range: [Math.min(...ratios), Math.max(...ratios)],
    bound,
    target: aim,
  };
}
