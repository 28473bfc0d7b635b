/**
 * A session with everything around it made of fakes that write one journal, so that a test can say what came before
 * what. Each fake answers at once or when told to; the evaluator reads strictly and rules by the tool's name.
 */
import type { Decision } from '../../src/decision/decision.ts';
import type { Obligation } from '../../src/decision/obligation.ts';
import type { SessionDescription } from '../../src/decision/session-facts.ts';
import type { Ruling, Verdict } from '../../src/decision/verdict.ts';
import type {
  Counters,
  DecisionLog,
  Evaluator,
  Job,
  JobOutcome,
  LogOutcome,
  ReserveOutcome,
} from '../../src/gate/ports.ts';
import { readAgentMessage } from '../../src/mcp/read-agent-message.ts';
import { readServerMessage } from '../../src/mcp/read-server-message.ts';
import { Session } from '../../src/proxy/session.ts';
import type { Channel } from '../../src/transport/channel.ts';

export class FakeChannel implements Channel {
  buffered = 0;
  paused = true;
  ended = false;
  /** What was handed over. */
  readonly got: string[] = [];
  readonly #journal: string[];
  readonly #name: string;
  #queue: string[] = [];

  constructor(name: string, journal: string[]) {
    this.#name = name;
    this.#journal = journal;
  }

  send(message: Uint8Array): void {
    this.#queue.push(Buffer.from(message).toString());
  }

  flush(): void {
    for (const text of this.#queue) {
      this.got.push(text);
      const { id, method } = JSON.parse(text) as { id?: unknown; method?: string };
      this.#journal.push(`${this.#name} got ${id ?? method}`);
    }
    this.#queue = [];
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.ended = true;
  }
}

const rule = { tool: 't', rule: 'r', index: 0 };
const counter = { tool: 't', name: 'c', window: 'day' } as unknown as Obligation['counter'];
export const RESERVE: Obligation = {
  kind: 'reserve',
  counter,
  amount: '1',
  bounds: [{ op: 'lte', value: '5' }],
  rule,
};
const READ: Obligation = { kind: 'read', counter, test: { op: 'lte', value: '5' }, rule };

const RULINGS: Readonly<Record<string, Ruling>> = {
  free: { effect: 'allow', obligations: [] },
  limited: { effect: 'allow', obligations: [RESERVE] },
  denied: { effect: 'deny', denial: { reason: 'rule_denied', message: 'no' }, earlier: [] },
  peeked: { effect: 'deny', denial: { reason: 'rule_denied', message: 'no' }, earlier: [READ] },
};

/** What an evaluator that works says. */
export function outcomeOf({ kind, bytes }: Job): JobOutcome {
  const times = { queueUs: 1, evaluationUs: 1 };
  if (kind === 'server')
    return { kind: 'reading', reading: readServerMessage(bytes, {}, () => true), ...times };
  const read = readAgentMessage(bytes, {});
  if (read.kind !== 'call') return { kind: 'verdict', verdict: read, ...times };
  const { args: _, ...call } = read;
  const unusual = call.tool.includes('/') ? { unusualName: true as const } : {};
  const ruling = RULINGS[call.tool] ?? RULINGS['free'];
  const judged = kind === 'judge' && ruling !== undefined ? { ruling } : {};
  const verdict: Verdict = { ...call, ...unusual, ...judged };
  return { kind: 'verdict', verdict, ...times };
}

/** When an evaluator answers: in `submit`, in `flush`, or when the test says so. */
export type When = 'at submit' | 'at flush' | 'later';

export class FakeEvaluator implements Evaluator {
  when: When = 'later';
  /** Handed over and not answered. */
  jobs: Job[] = [];
  /** All that ever came. */
  readonly kinds: string[] = [];
  answer: (job: Job) => JobOutcome = outcomeOf;
  #unflushed: Job[] = [];

  submit(job: Job): void {
    this.kinds.push(job.kind);
    if (this.when === 'at submit') job.done(this.answer(job));
    else this.#unflushed.push(job);
  }

  /** What it was told of the session, the newest last. */
  readonly descriptions: SessionDescription[] = [];

  describe(_session: string, description: SessionDescription): void {
    this.descriptions.push(description);
  }

  forget(): void {}

  flush(): void {
    this.jobs.push(...this.#unflushed);
    this.#unflushed = [];
    if (this.when === 'at flush') this.finish();
  }

  /** Answers the jobs it holds, or the first `count` of them. */
  finish(count = this.jobs.length): void {
    for (const job of this.jobs.splice(0, count)) job.done(this.answer(job));
  }
}

/** Answers at once, or in a later turn of the event loop. */
export type Pace = 'at once' | 'later';

function paced<T>(pace: Pace, answer: () => T): T | Promise<T> {
  if (pace === 'at once') return answer();
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(answer());
      } catch (error) {
        reject(error);
      }
    });
  });
}

export class FakeCounters implements Counters {
  pace: Pace = 'at once';
  outcome: (reservation: string) => ReserveOutcome = (id) => ({ kind: 'reserved', id });
  readonly settled: string[] = [];
  readonly #journal: string[];

  constructor(journal: string[]) {
    this.#journal = journal;
  }

  reserve(requests: Parameters<Counters['reserve']>[0]): ReturnType<Counters['reserve']> {
    const ids = requests.map(({ reservation }) => reservation);
    return paced(this.pace, () => {
      this.#journal.push(`reserved ${ids.length}`);
      return ids.map((id) => this.outcome(id));
    });
  }

  peek(): ReturnType<Counters['peek']> {
    return paced(this.pace, () => this.outcome(''));
  }

  settle(reservation: string, settlement: string): void {
    this.settled.push(`${settlement} ${reservation}`);
  }
}

export class FakeLog implements DecisionLog {
  pace: Pace = 'at once';
  outcome: () => LogOutcome = () => ({ kind: 'recorded' });
  readonly decisions: Decision[] = [];
  #uncommitted: Decision[] = [];
  readonly #journal: string[];

  constructor(journal: string[]) {
    this.#journal = journal;
  }

  append(decision: Decision): void {
    this.#uncommitted.push(decision);
  }

  commit(): LogOutcome | Promise<LogOutcome> {
    const batch = this.#uncommitted;
    this.#uncommitted = [];
    return paced(this.pace, () => {
      const outcome = this.outcome();
      if (outcome.kind === 'recorded') {
        this.decisions.push(...batch);
        for (const { requestId, effect } of batch) this.#journal.push(`${effect} of ${requestId} on record`);
      }
      return outcome;
    });
  }
}

export type Scene = ReturnType<typeof scene>;

export function scene() {
  const journal: string[] = [];
  const notes: string[] = [];
  const evaluator = new FakeEvaluator();
  const counters = new FakeCounters(journal);
  const log = new FakeLog(journal);
  const agent = new FakeChannel('agent', journal);
  const upstream = new FakeChannel('upstream', journal);
  let ids = 0;
  let us = 0;
  const gate = {
    session: 's',
    server: 'v',
    mode: 'enforce' as const,
    failMode: 'closed' as const,
    injected: new Set<string>(),
    maxPending: 10_000,
    upstreamTimeoutMs: 1000,
    newId: () => `n${++ids}`,
  };
  const policy = { handle: 1, digest: 'd' };
  const session = new Session(
    { gate, policy, limits: {}, maxMessageBytes: 1 << 20 },
    {
      evaluator,
      counters,
      log,
      clock: () => ({ us: ++us, wallMs: 0 }),
      note: (level, what) => void notes.push(`${level}: ${what}`),
    },
  );
  session.start(agent, upstream);
  /** Messages of one read. */
  const fromAgent = (...texts: readonly string[]): void => {
    for (const text of texts) session.agentMessage(Buffer.from(text));
    session.burst();
  };
  const fromServer = (...texts: readonly string[]): void => {
    for (const text of texts) session.serverMessage(Buffer.from(text));
    session.burst();
  };
  return { journal, notes, evaluator, counters, log, agent, upstream, session, fromAgent, fromServer };
}

export const call = (id: number, tool: string, more = ''): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${tool}","arguments":{"t":"${more}"}}}`;
export const result = (id: number | string): string =>
  `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{}}`;

/** Until everything that answers later has: more turns than any chain here is long. */
export async function turns(count = 30): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
