/**
 * Random lives of a gate: one seed, one life. The world round the gate (agent, evaluator, counters, log, upstream) does
 * whatever the seed says in whatever order it says, and {@link Model} checks every promise after every step. At the end
 * all that is under way is brought to its end, and the gate must have forgotten everything.
 */
import type { Obligation } from '../../src/decision/obligation.ts';
import type { DenyReason } from '../../src/decision/reason.ts';
import type { RequestId, Ruling, ServerReading, Verdict } from '../../src/decision/verdict.ts';
import { createGate, type GateState, step } from '../../src/gate/gate.ts';
import type { JobOutcome, ReserveOutcome } from '../../src/gate/ports.ts';
import type { Effect, GateEvent, GateOptions } from '../../src/gate/protocol.ts';
import { idOf, text, tokenOf, Violation } from './fact.ts';
import { Model } from './model.ts';
import { Prng } from './prng.ts';

const TIMEOUT_MS = 1000;
const TOKENS: readonly RequestId[] = ['1', '"1"', '"t"', '7'];
const FAILURES = [
  'evaluation_timeout',
  'evaluation_error',
  'evaluation_crash',
  'evaluation_out_of_memory',
  'overload',
] as const;
const DENIALS: readonly DenyReason[] = [
  'rule_denied',
  'tool_hidden',
  'tool_not_listed',
  'invalid_argument',
  'evaluation_error',
  'malformed_message',
];
const COUNTERS = ['a', 'b'] as const;
const RULE = { tool: 't', rule: 'r', index: 0 };

type Action =
  | 'agent'
  | 'evaluated'
  | 'counted'
  | 'recorded'
  | 'server'
  | 'server_read'
  | 'policy'
  | 'tick'
  | 'bogus'
  | 'drain'
  | 'close';
type Kind =
  | 'call'
  | 'request'
  | 'notification'
  | 'cancel'
  | 'progress'
  | 'response'
  | 'malformed'
  | 'oversize';
type Fate =
  | 'answer'
  | 'repeat'
  | 'stranger'
  | 'respelt'
  | 'nonsense'
  | 'request'
  | 'notification'
  | 'progress'
  | 'cancel'
  | 'oversize';

/** `seen`: how often what happened. */
export type Life = {
  readonly steps: number;
  readonly trace: string;
  readonly seen: ReadonlyMap<string, number>;
};

/** @throws Violation, with the seed's last steps in its message. */
export function simulate(seed: number, length: number): Life {
  const world = new World(seed);
  try {
    for (let i = 0; i < length; i++) world.act();
    world.end();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    throw new Violation(
      `${error.message}\n  after ${world.steps} steps; the last:\n    ${world.last.join('\n    ')}`,
    );
  }
  return { steps: world.steps, trace: world.trace.toString(16), seen: world.seen };
}

class World {
  steps = 0;
  trace = 0;
  readonly last: string[] = [];
  readonly seen = new Map<string, number>();
  readonly #random: Prng;
  readonly #weights: Record<Action, number>;
  readonly #gate: GateState;
  readonly #model: Model;
  readonly #options: GateOptions;
  #us = 0;
  #seq = 0;
  #sseq = 0;
  #handle = 1;
  #ids = 0;
  #agentIds = 0;
  /** The last ids the agent used. */
  #used: RequestId[] = [];
  #answered: RequestId[] = [];
  #serverIds = 0;
  /** Drawn on a message's arrival: what judging and reading it will say. */
  readonly #truth = new Map<
    number,
    { readonly verdict: Verdict; readonly judge: JobOutcome | null; readonly read: JobOutcome | null }
  >();
  #evaluations: { readonly seq: number; readonly kind: 'judge' | 'read' }[] = [];
  #counted: { readonly seq: number; readonly outcome: ReserveOutcome }[] = [];
  #records: number[] = [];
  #serverReads: number[] = [];
  readonly #serverTruth = new Map<
    number,
    ServerReading | { readonly kind: 'failed'; readonly detail: string }
  >();
  readonly #bound: number;
  /** Exact counters: what is used, and what each open reservation took. */
  readonly #counters = new Map<string, number>();
  readonly #taken = new Map<string, readonly (readonly [string, number])[]>();

  constructor(seed: number) {
    this.#random = new Prng(seed);
    const r = this.#random;
    this.#options = {
      session: 's',
      server: 'srv',
      mode: r.chance(30) ? 'dry_run' : 'enforce',
      failMode: r.chance(30) ? 'open' : 'closed',
      injected: new Set(r.chance(20) ? ['t1'] : []),
      maxPending: r.pick([1, 3, 20, 1000, 1000]),
      upstreamTimeoutMs: TIMEOUT_MS,
      newId: () => {
        this.#ids += 1;
        return `id${this.#ids}`;
      },
    };
    this.#bound = r.pick([6, 30, 1000]);
    // Each life has its own pace: a slow evaluator, a slow log, a silent upstream.
    const pace = (): number => r.pick([2, 6, 20]);
    this.#weights = {
      agent: pace(),
      evaluated: pace() + 2,
      counted: pace() + 1,
      recorded: pace() + 2,
      server: pace(),
      server_read: pace() + 2,
      policy: 1,
      tick: r.pick([1, 4]),
      bogus: 1,
      drain: 0,
      close: 0,
    };
    const policy = { handle: 1, digest: 'd1' };
    this.#gate = createGate(this.#options, policy);
    this.#model = new Model(this.#options, policy);
  }

  act(): void {
    const r = this.#random;
    const action = r.int(3000) === 0 ? r.pick(['drain', 'close'] as const) : r.weighted(this.#weights);
    switch (action) {
      case 'agent':
        return this.#agentSpeaks();
      case 'evaluated':
        return this.#evaluate(false);
      case 'counted':
        return this.#count();
      case 'recorded':
        return this.#record(false);
      case 'server':
        return this.#serverSpeaks();
      case 'server_read':
        return this.#readServer(false);
      case 'policy':
        this.#handle += 1;
        return this.#step({ type: 'policy', policy: { handle: this.#handle, digest: `d${this.#handle}` } });
      case 'tick':
        this.#us += r.int(TIMEOUT_MS) * 400;
        return this.#step({ type: 'tick' });
      case 'bogus':
        return this.#bogus();
      case 'drain':
        return this.#step({ type: 'drain' });
      case 'close':
        return this.#step({ type: 'upstream_closed', detail: 'it died' });
    }
  }

  /** Brings everything to its end, in one of the ways there are, and looks that nothing is left. */
  end(): void {
    const way = this.#random.pick(['close', 'silence', 'drain'] as const);
    if (way === 'drain') this.#step({ type: 'drain' });
    if (way === 'close') this.#step({ type: 'upstream_closed', detail: 'it died' });
    this.#settle();
    if (way === 'silence') {
      this.#us += TIMEOUT_MS * 1000 + 1;
      this.#step({ type: 'tick' });
    }
    // What is left is waiting for the upstream; subscriptions do so for ever.
    this.#step({ type: 'upstream_closed', detail: 'the end' });
    this.#settle();
    this.#step({ type: 'drain' });
    this.#model.quiescent();
    if (!this.#model.drained) throw new Violation('drain: not true that it drained');
    const used = [...this.#counters.values()].reduce((sum, n) => sum + n, 0);
    let kept = 0;
    for (const fact of this.#model.facts) {
      if (
        fact.settled !== 'commit' ||
        fact.verdict?.kind !== 'call' ||
        fact.verdict.ruling?.effect !== 'allow'
      )
        continue;
      for (const obligation of fact.verdict.ruling.obligations)
        if (obligation.kind === 'reserve') kept += Number(obligation.amount);
    }
    if (used !== kept || this.#taken.size > 0)
      throw new Violation(
        `P6: not true that the counters hold what was kept: ${used} used, ${kept} kept, ${this.#taken.size} open`,
      );
    this.#assertEmpty();
  }

  #assertEmpty(): void {
    const g = this.#gate;
    const left = {
      messages: g.messages.size,
      byId: g.byId.size,
      byToken: g.byToken.size,
      slots: g.slots,
      held: g.held.size,
      waiting: g.waiting.size,
      cancelledPending: g.cancelledPending,
      serverReadings: g.serverReadings.size,
      serverRequests: g.serverRequests.size,
      lines: [g.silent.first, g.unreadOrdered.first, g.unreadOther.first].filter((first) => first !== null)
        .length,
    };
    for (const [table, size] of Object.entries(left)) {
      if (size !== 0) throw new Violation(`leak: not true that ${table} is empty: ${size}`);
    }
  }

  /** Everything asked for is answered. */
  #settle(): void {
    for (let left = true; left; ) {
      left =
        this.#evaluations.length + this.#counted.length + this.#records.length + this.#serverReads.length > 0;
      this.#evaluate(true);
      this.#count();
      this.#record(true);
      this.#readServer(true);
    }
  }

  // ---- one step

  #step(event: GateEvent): void {
    this.steps += 1;
    this.#us += this.#random.int(50);
    const now = { us: this.#us, wallMs: Math.floor(this.#us / 1000) };
    this.#model.before(event, now);
    const effects = step(this.#gate, event, now);
    this.#log(event, effects);
    this.#model.after(effects);
    for (const effect of effects) {
      const what = this.#situation(effect);
      this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
      this.#carryOut(effect);
    }
  }

  #situation(effect: Effect): string {
    switch (effect.type) {
      case 'record': {
        const { effect: decided, reason, wouldDeny } = effect.decision;
        const again = this.#model.fact(effect.seq).records.length > 1 ? ' again' : '';
        return `record${again} ${decided} ${wouldDeny === undefined ? reason : `would deny ${wouldDeny}`}`;
      }
      case 'reply':
        return `reply ${effect.reply.kind} ${effect.reply.kind === 'error' ? effect.reply.reason : effect.reply.decision.reason}`;
      case 'forward':
        return `forward ${this.#truth.get(effect.seq)?.verdict.kind ?? ''}`;
      case 'settle':
        return `settle ${effect.settlement}`;
      case 'evaluate':
        return `evaluate ${effect.kind}`;
      default:
        return effect.type;
    }
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case 'evaluate':
        this.#evaluations.push(effect);
        return;
      case 'peek':
        this.#counted.push({ seq: effect.seq, outcome: this.#judge(effect.obligations, null) });
        return;
      case 'reserve':
        // Taken now, told later.
        this.#counted.push({ seq: effect.seq, outcome: this.#judge(effect.obligations, effect.reservation) });
        return;
      case 'settle': {
        const taken = this.#taken.get(effect.reservation) ?? [];
        this.#taken.delete(effect.reservation);
        if (effect.settlement === 'rollback')
          for (const [name, amount] of taken)
            this.#counters.set(name, (this.#counters.get(name) ?? 0) - amount);
        return;
      }
      case 'record':
        this.#records.push(effect.seq);
        return;
      case 'read_server':
        this.#serverReads.push(effect.sseq);
        return;
      default:
        return;
    }
  }

  #log(event: GateEvent, effects: readonly Effect[]): void {
    const line = `${brief(event)} -> ${effects.map(brief).join(', ')}`;
    for (let i = 0; i < line.length; i++) this.trace = (Math.imul(this.trace, 31) + line.charCodeAt(i)) >>> 0;
    this.last.push(line);
    if (this.last.length > 30) this.last.shift();
  }

  /** An event that nothing waits for must change nothing. */
  #bogus(): void {
    const seq = this.#random.int(this.#seq + 3);
    const fact = this.#model.facts[seq - 1];
    const now = { us: this.#us, wallMs: 0 };
    const events: GateEvent[] = [];
    if (fact === undefined || fact.evaluating === null)
      events.push({
        type: 'evaluated',
        seq,
        outcome: verdict({ kind: 'call', id: '1', tool: 't1', ruling: { effect: 'allow', obligations: [] } }),
      });
    if (fact === undefined || !fact.recording)
      events.push({ type: 'recorded', seq, outcome: { kind: 'recorded' } });
    if (fact === undefined || fact.asked === null || fact.reserveOutcome !== null)
      events.push({ type: 'reserved', seq, outcome: { kind: 'reserved', id: 'x' } });
    if (fact !== undefined) events.push({ type: 'agent_message', seq, ordered: false });
    if (events.length === 0) return;
    const effects = step(this.#gate, this.#random.pick(events), now);
    const notes = effects.filter((effect) => effect.type === 'note');
    if (effects.length !== 1 || notes.length !== 1)
      throw new Violation(
        `the driver: not true that an event nobody waits for changes nothing: ${effects.map(brief).join(', ')}`,
      );
  }

  // ---- the agent

  #agentSpeaks(): void {
    const r = this.#random;
    const kind = r.weighted<Kind>({
      call: 50,
      request: 10,
      notification: 8,
      cancel: 12,
      progress: 6,
      response: 7,
      malformed: 4,
      oversize: 1,
    });
    this.#seq += 1;
    const seq = this.#seq;
    if (kind === 'oversize') {
      this.#step({ type: 'agent_oversize', seq, maxBytes: 9 });
      return;
    }
    const message = this.#message(kind);
    const judge = r.chance(12) ? this.#failure() : null;
    const read = r.chance(15) ? this.#failure() : null;
    this.#truth.set(seq, { verdict: message, judge, read });
    // The hint is mostly right.
    const ordered = kind === 'call' ? r.chance(15) : kind === 'malformed' ? r.chance(50) : r.chance(97);
    this.#step({ type: 'agent_message', seq, ordered });
  }

  #message(kind: Exclude<Kind, 'oversize'>): Verdict {
    const r = this.#random;
    const token = r.chance(25) ? { progressToken: r.pick(TOKENS) } : {};
    switch (kind) {
      case 'call':
        return this.#call(token);
      case 'request':
        return {
          kind: 'request',
          id: this.#id(),
          method: r.pick(['ping', 'tools/list', 'tools/list', 'subscriptions/listen', 'initialize']),
          ...token,
        };
      case 'notification':
        return { kind: 'notification', method: 'notifications/roots/list_changed' };
      case 'cancel': {
        const target = r.chance(10)
          ? {}
          : { cancels: r.chance(90) ? this.#recentId() : respelt(this.#recentId()) };
        return { kind: 'notification', method: 'notifications/cancelled', ...target };
      }
      case 'progress':
        return { kind: 'notification', method: 'notifications/progress', progressToken: r.pick(TOKENS) };
      case 'response': {
        const asked = [...this.#model.serverPending.values()];
        const id = asked.length > 0 && r.chance(80) ? r.pick(asked).id : `"s${r.int(9)}"`;
        return { kind: 'response', id: r.chance(95) ? id : respelt(id) };
      }
      case 'malformed': {
        const id = r.pick([{}, { id: null }, { id: this.#recentId() }]);
        const unknown = r.chance(20);
        return {
          kind: 'malformed',
          reason: unknown ? 'unknown_method' : 'malformed_message',
          code: -32600,
          message: 'm',
          ...id,
          ...(r.chance(30) ? { tool: 't1' } : {}),
        };
      }
    }
  }

  #call(token: { readonly progressToken?: RequestId }): Verdict {
    const r = this.#random;
    const odd = r.chance(8);
    const base = {
      kind: 'call' as const,
      id: r.chance(8) ? null : this.#id(),
      tool: odd ? `odd ${r.int(3)}` : `t${r.int(3)}`,
      ...(odd ? { unusualName: true as const } : {}),
      ...token,
    };
    if (r.chance(4)) return { ...base, suspect: 'quarantined' };
    if (r.chance(2)) return { ...base, suspect: 'probation' };
    if (r.chance(2)) return base;
    return { ...base, ruling: this.#ruling() };
  }

  #ruling(): Ruling {
    const r = this.#random;
    if (r.chance(40)) return { effect: 'allow', obligations: [] };
    const read: Obligation = {
      kind: 'read',
      counter: { scope: null, name: r.pick(COUNTERS), window: 'day' },
      test: { op: 'lt', value: String(this.#bound - 3) },
      rule: RULE,
    };
    if (r.chance(25)) {
      const denial = { reason: r.pick(DENIALS), message: 'no' };
      return { effect: 'deny', denial, earlier: r.chance(40) ? [read] : [] };
    }
    const reserve = (): Obligation => ({
      kind: 'reserve',
      counter: { scope: 't', name: r.pick(COUNTERS), window: 'hour' },
      amount: String(1 + r.int(3)),
      bounds: [{ op: 'lte', value: String(this.#bound) }],
      rule: RULE,
    });
    return {
      effect: 'allow',
      obligations: [...(r.chance(30) ? [read] : []), reserve(), ...(r.chance(30) ? [reserve()] : [])],
    };
  }

  #id(): RequestId {
    const r = this.#random;
    let id: RequestId;
    if (r.chance(80)) {
      this.#agentIds += 1;
      id = String(this.#agentIds);
    } else if (r.chance(50)) id = this.#recentId();
    else id = respelt(this.#recentId());
    this.#used.push(id);
    if (this.#used.length > 12) this.#used.shift();
    return id;
  }

  #recentId(): RequestId {
    return this.#used.length === 0 ? '0' : this.#random.pick(this.#used);
  }

  // ---- evaluator, counters, log

  #failure(): JobOutcome {
    if (this.#random.chance(5))
      return {
        kind: 'reading',
        reading: { kind: 'response', id: '1', outcome: 'result' },
        queueUs: 1,
        evaluationUs: 1,
      };
    return { kind: 'failure', reason: this.#random.pick(FAILURES), detail: 'f', queueUs: 1, evaluationUs: 1 };
  }

  #evaluate(isEnd: boolean): void {
    if (this.#evaluations.length === 0) return;
    const { seq, kind } = isEnd
      ? (this.#evaluations.shift() as { seq: number; kind: 'judge' | 'read' })
      : this.#random.take(this.#evaluations);
    const truth = this.#truth.get(seq);
    if (truth === undefined) throw new Violation(`P1: not true that message ${seq} is there to evaluate`);
    const said = kind === 'judge' ? truth.verdict : withoutRuling(truth.verdict);
    const outcome = (kind === 'judge' ? truth.judge : truth.read) ?? verdict(said);
    this.#step({ type: 'evaluated', seq, outcome });
  }

  /** All obligations or none; exact, since amounts are small whole numbers. */
  #judge(obligations: readonly Obligation[], reservation: string | null): ReserveOutcome {
    if (this.#random.chance(8)) return { kind: 'unavailable', detail: 'u' };
    const draft = new Map(this.#counters);
    const taken: [string, number][] = [];
    for (const [i, obligation] of obligations.entries()) {
      const { name } = obligation.counter;
      const used = draft.get(name) ?? 0;
      if (obligation.kind === 'read') {
        if ((this.#counters.get(name) ?? 0) < this.#bound - 3) continue;
        return { kind: 'refused', obligation: i, used: String(used), retryAtMs: 0 };
      }
      const amount = Number(obligation.amount);
      if (used + amount > this.#bound)
        return { kind: 'refused', obligation: i, used: String(used), asked: obligation.amount, retryAtMs: 0 };
      draft.set(name, used + amount);
      taken.push([name, amount]);
    }
    if (reservation === null) return { kind: 'reserved', id: '' };
    if (this.#taken.has(reservation))
      throw new Violation('P6: not true that a reservation has an id of its own');
    for (const [name, used] of draft) this.#counters.set(name, used);
    this.#taken.set(reservation, taken);
    return { kind: 'reserved', id: reservation };
  }

  #count(): void {
    if (this.#counted.length === 0) return;
    const { seq, outcome } = this.#random.take(this.#counted);
    this.#step({ type: 'reserved', seq, outcome });
  }

  #record(isEnd: boolean): void {
    if (this.#records.length === 0) return;
    const seq = isEnd ? (this.#records.shift() as number) : this.#random.take(this.#records);
    const lost = this.#random.chance(5);
    this.#step({
      type: 'recorded',
      seq,
      outcome: lost ? { kind: 'unavailable', detail: 'u' } : { kind: 'recorded' },
    });
  }

  // ---- the server

  #serverSpeaks(): void {
    const r = this.#random;
    // Mostly it speaks when it is owed something.
    if (r.chance(80) && !this.#model.live.some((fact) => fact.pending)) return;
    this.#sseq += 1;
    const sseq = this.#sseq;
    const fate = r.weighted<Fate>({
      answer: 50,
      repeat: 4,
      stranger: 4,
      respelt: 3,
      nonsense: 4,
      request: 10,
      notification: 6,
      progress: 10,
      cancel: 3,
      oversize: 2,
    });
    if (fate === 'oversize') {
      this.#step({ type: 'server_oversize', sseq, maxBytes: 9 });
      return;
    }
    const failed = r.chance(3) ? { kind: 'failed' as const, detail: 'f' } : null;
    this.#serverTruth.set(sseq, failed ?? this.#serverMessage(fate));
    this.#step({ type: 'server_message', sseq });
  }

  #serverMessage(fate: Exclude<Fate, 'oversize'>): ServerReading {
    const r = this.#random;
    const pending = this.#model.live.filter((fact) => fact.pending);
    const owed = pending.length === 0 ? null : idOf(r.pick(pending));
    switch (fate) {
      case 'answer':
        return owed === null ? { kind: 'malformed', message: 'm' } : this.#answer(owed);
      case 'repeat':
        return this.#answer(this.#answered.length === 0 ? '0' : r.pick(this.#answered));
      case 'stranger':
        // Also the ids of what was denied or never sent.
        return this.#answer(this.#recentId());
      case 'respelt':
        return this.#answer(respelt(owed ?? '0'));
      case 'nonsense':
        return { kind: 'malformed', message: 'm', ...(r.chance(70) && owed !== null ? { id: owed } : {}) };
      case 'request': {
        this.#serverIds += r.chance(80) ? 1 : 0;
        const id = r.chance(50) ? `"s${this.#serverIds}"` : String(this.#serverIds);
        return {
          kind: 'request',
          id,
          method: 'ping',
          ...(r.chance(30) ? { progressToken: r.pick(TOKENS) } : {}),
        };
      }
      case 'notification':
        return { kind: 'notification', method: 'notifications/message' };
      case 'progress': {
        const tokens = pending.map(tokenOf).filter((token) => token !== null);
        const progressToken = tokens.length > 0 && r.chance(80) ? r.pick(tokens) : r.pick(TOKENS);
        return { kind: 'notification', method: 'notifications/progress', progressToken };
      }
      case 'cancel': {
        const asked = [...this.#model.serverPending.values()];
        return {
          kind: 'notification',
          method: 'notifications/cancelled',
          cancels: asked.length > 0 ? r.pick(asked).id : '99',
        };
      }
    }
  }

  #answer(id: RequestId): ServerReading {
    const r = this.#random;
    this.#answered.push(id);
    if (this.#answered.length > 8) this.#answered.shift();
    const listing = r.chance(20)
      ? { listing: { names: [`odd ${r.int(3)}`], tools: [], cuts: [], hidden: 0 } }
      : {};
    return {
      kind: 'response',
      id,
      outcome: r.weighted({ result: 6, error: 2, input_required: 1 }),
      ...listing,
    };
  }

  #readServer(isEnd: boolean): void {
    if (this.#serverReads.length === 0) return;
    const sseq = isEnd ? (this.#serverReads.shift() as number) : this.#random.take(this.#serverReads);
    const reading = this.#serverTruth.get(sseq);
    if (reading === undefined)
      throw new Violation(`order: not true that server message ${sseq} is there to read`);
    this.#step({ type: 'server_read', sseq, reading });
  }
}

function verdict(said: Verdict): JobOutcome {
  return { kind: 'verdict', verdict: said, queueUs: 1, evaluationUs: 1 };
}

/** What reading alone says of a message. */
function withoutRuling(said: Verdict): Verdict {
  if (said.kind !== 'call') return said;
  const { ruling: _, suspect: __, ...call } = said;
  return call;
}

/** The same id in the other JSON type. */
function respelt(id: RequestId): RequestId {
  const plain = text(id);
  return id.startsWith('"') && /^\d+$/.test(plain) ? plain : JSON.stringify(plain);
}

function brief(one: GateEvent | Effect): string {
  const { type } = one;
  const number = 'seq' in one ? ` ${one.seq}` : 'sseq' in one ? ` s${one.sseq}` : '';
  switch (type) {
    case 'evaluated':
      return `${type}${number} ${one.outcome.kind === 'verdict' ? JSON.stringify(one.outcome.verdict) : one.outcome.kind}`;
    case 'reserved':
    case 'recorded':
      return `${type}${number} ${one.outcome.kind}`;
    case 'server_read':
      return `${type}${number} ${JSON.stringify(one.reading)}`;
    case 'evaluate':
      return `${type}${number} ${one.kind}`;
    case 'record':
      return `${type}${number} ${one.decision.effect} ${one.decision.reason}`;
    case 'settle':
      return `${type} ${one.reservation} ${one.settlement}`;
    case 'reserve':
      return `${type}${number} ${one.reservation}`;
    case 'reply':
      return `${type} ${one.reply.id ?? 'null'} ${one.reply.kind === 'error' ? one.reply.reason : one.reply.decision.reason}`;
    case 'note':
      return `${type} ${one.message}`;
    default:
      return `${type}${number}`;
  }
}
