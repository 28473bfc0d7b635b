/**
 * The counters of one server over any backend: reserve, peek, settle. Promises: a call's obligations are discharged in
 * one atomic step or not at all; a settled reservation is settled once; nothing here throws for what a call brings.
 *
 * What a reservation took is kept in this process only. A commit therefore writes nothing, and a reservation whose
 * process died stays counted for its window: its outcome is unknown.
 */
import { Decimal } from '../decision/decimal.ts';
import type { Obligation } from '../decision/obligation.ts';
import type { Counters, ReserveOutcome, ReserveRequest, Settlement } from '../gate/ports.ts';
import type { Backend, Rows, Usage } from './backend.ts';
import { Draft, type Judgement, judge, type Taken } from './discharge.ts';
import { CounterKeys } from './key.ts';
import { MAX_TIME_MS } from './window.ts';

/** Reservations that await their outcome; the gate holds far fewer. */
const MAX_OPEN = 100_000;

/** The `Counters` port, answering at once, with what commands need beside it. */
export type CounterStore = Omit<Counters, 'reserve' | 'peek'> & {
  reserve(requests: readonly ReserveRequest[]): readonly ReserveOutcome[];
  peek(obligations: readonly Obligation[]): ReserveOutcome;
  /** What is used, counter by counter, in the windows the counters are in; a turned window shows its last value. */
  list(): Usage;
  close(): Promise<void>;
};

export class CounterLedger implements CounterStore, Counters {
  readonly #keys: CounterKeys;
  readonly #now: () => number;
  readonly #backend: Backend;
  readonly #open = new Map<string, readonly Taken[]>();
  /** What is to be given back and could not be yet; it goes along with the next step. */
  #owed: Taken[] = [];

  constructor(server: string, now: () => number, backend: Backend) {
    this.#keys = new CounterKeys(server);
    this.#now = now;
    this.#backend = backend;
  }

  reserve(requests: readonly ReserveRequest[]): readonly ReserveOutcome[] {
    const nowMs = this.#clock();
    if (nowMs === undefined) return requests.map(() => noClock());
    const judgements: Judgement[] = [];
    let writes = this.#owed.length > 0;
    let reads = writes;
    for (const { obligations } of requests) {
      if (obligations.length === 0) continue;
      reads = true;
      for (const { kind } of obligations) if (kind === 'reserve') writes = true;
    }
    const work = (rows: Rows): void => {
      const draft = new Draft(rows, nowMs);
      draft.giveBack(this.#owed);
      for (const { reservation, obligations } of requests) {
        const judgement = this.#bar(reservation) ?? judge(draft, this.#keys, obligations);
        if (judgement.kind === 'met') {
          draft.take(judgement.taken);
          this.#open.set(reservation, judgement.taken);
        }
        judgements.push(judgement);
      }
      draft.flush();
    };
    const done = writes
      ? this.#backend.transact(nowMs, work)
      : reads
        ? this.#backend.snapshot(work)
        : this.#openOnly(requests, judgements);
    if (!done.ok) return this.#undo(requests, judgements, done.detail);
    if (writes) this.#owed = [];
    return judgements.map((judgement, i) =>
      judgement.kind === 'met'
        ? { kind: 'reserved', id: (requests[i] as ReserveRequest).reservation }
        : judgement,
    );
  }

  /** FAIL-CLOSED: what was judged but not kept was not reserved. */
  #undo(
    requests: readonly ReserveRequest[],
    judgements: readonly Judgement[],
    detail: string,
  ): readonly ReserveOutcome[] {
    for (const [i, judgement] of judgements.entries())
      if (judgement.kind === 'met') this.#open.delete((requests[i] as ReserveRequest).reservation);
    return requests.map(() => ({ kind: 'unavailable', detail }));
  }

  /** For requests that ask nothing of the counters. */
  #openOnly(requests: readonly ReserveRequest[], judgements: Judgement[]): { readonly ok: true } {
    for (const { reservation } of requests) {
      const judgement = this.#bar(reservation) ?? { kind: 'met', taken: [] };
      if (judgement.kind === 'met') this.#open.set(reservation, judgement.taken);
      judgements.push(judgement);
    }
    return { ok: true };
  }

  peek(obligations: readonly Obligation[]): ReserveOutcome {
    if (obligations.length === 0) return { kind: 'reserved', id: '' };
    const nowMs = this.#clock();
    if (nowMs === undefined) return noClock();
    let judgement: Judgement = { kind: 'unavailable', detail: 'the counters were not read' };
    const done = this.#backend.snapshot((rows) => {
      const draft = new Draft(rows, nowMs);
      draft.giveBack(this.#owed);
      judgement = judge(draft, this.#keys, obligations);
    });
    if (!done.ok) return { kind: 'unavailable', detail: done.detail };
    const seen = judgement as Judgement;
    return seen.kind === 'met' ? { kind: 'reserved', id: '' } : seen;
  }

  settle(reservation: string, settlement: Settlement): void {
    const taken = this.#open.get(reservation);
    if (taken === undefined) return;
    this.#open.delete(reservation);
    if (settlement !== 'rollback') return;
    for (const t of taken) if (t.amount.compare(Decimal.ZERO) > 0) this.#owed.push(t);
    if (this.#owed.length === 0) return;
    const done = this.#backend.transact(this.#clock() ?? 0, (rows) => {
      const draft = new Draft(rows, 0);
      draft.giveBack(this.#owed);
      draft.flush();
    });
    if (done.ok) this.#owed = [];
  }

  list(): Usage {
    return this.#backend.usage();
  }

  close(): Promise<void> {
    return this.#backend.close();
  }

  /** Why no reservation of this id can be opened now. */
  #bar(reservation: string): Judgement | undefined {
    // FAIL-CLOSED: two calls under one id could not be told apart when one of them is settled.
    if (this.#open.has(reservation))
      return { kind: 'unavailable', detail: 'a reservation of this id is already open' };
    if (this.#open.size < MAX_OPEN) return undefined;
    return {
      kind: 'unavailable',
      detail: `${MAX_OPEN} reservations await their outcome, which is the limit`,
    };
  }

  /** FAIL-CLOSED: a clock that throws or tells no time cannot say which window it is. */
  #clock(): number | undefined {
    try {
      const ms = Math.floor(this.#now());
      return ms >= 0 && ms <= MAX_TIME_MS ? ms : undefined;
    } catch {
      return undefined;
    }
  }
}

function noClock(): ReserveOutcome {
  return { kind: 'unavailable', detail: 'the clock cannot be read, so the window is unknown' };
}
