/** Drives a gate by hand: every event one line, every effect in reach. Time stands still unless a test moves it. */
import assert from 'node:assert/strict';
import type { Decision } from '../../src/decision/decision.ts';
import type { Obligation } from '../../src/decision/obligation.ts';
import type { Denial, Ruling, ServerReading, Verdict } from '../../src/decision/verdict.ts';
import { createGate, type GateState, step } from '../../src/gate/gate.ts';
import type { JobOutcome, LogOutcome, ReserveOutcome } from '../../src/gate/ports.ts';
import type { Effect, GateEvent, GateOptions, Reply } from '../../src/gate/protocol.ts';

export type EffectOf<T extends Effect['type']> = Extract<Effect, { type: T }>;
export type CallVerdict = Extract<Verdict, { kind: 'call' }>;

export const START_MS = Date.UTC(2026, 0, 1, 10, 30, 0);
export const ALLOW: Ruling = { effect: 'allow', obligations: [] };
export const RULE = { tool: 'pay', rule: 'small amounts', index: 0 };
export const DENIAL: Denial = {
  reason: 'rule_denied',
  message: 'rule "small amounts": "amount" must be at most 5',
  rule: RULE,
};

export function deny(denial: Partial<Denial> = {}, earlier: readonly Obligation[] = []): Ruling {
  return { effect: 'deny', denial: { ...DENIAL, ...denial }, earlier };
}

export const RESERVE: Obligation = {
  kind: 'reserve',
  counter: { scope: 'pay', name: 'spent', window: 'hour' },
  amount: '1',
  bounds: [{ op: 'lte', value: '5' }],
  rule: { tool: 'pay', rule: 'hourly', index: 1 },
  onDeny: 'Five an hour.',
};
export const READ: Obligation = {
  kind: 'read',
  counter: { scope: null, name: 'errors', window: 'day' },
  test: { op: 'lt', value: '3' },
  rule: { tool: '*', rule: 'calm', index: 2 },
  onDeny: 'Not today.',
};
export const LIMITED: Ruling = { effect: 'allow', obligations: [RESERVE] };
export const RECORDED: LogOutcome = { kind: 'recorded' };
export const LOST: LogOutcome = { kind: 'unavailable', detail: 'disk full' };

export function call(id: string | null, more: Partial<Omit<CallVerdict, 'id'>> = {}): CallVerdict {
  const { ruling, ...rest } = { ruling: ALLOW, tool: 'pay', ...more };
  return { kind: 'call', id, ...rest, ...('ruling' in more && more.ruling === undefined ? {} : { ruling }) };
}

/** A call that was read and not judged. */
export function unjudged(
  id: string | null,
  more: Partial<Omit<CallVerdict, 'id' | 'ruling'>> = {},
): CallVerdict {
  return { kind: 'call', id, tool: 'pay', ...more };
}

export class Rig {
  readonly gate: GateState;
  readonly now = { us: 1_000_000, wallMs: START_MS };
  readonly all: Effect[] = [];
  seq = 0;
  sseq = 0;
  #ids = 0;

  constructor(options: Partial<GateOptions> = {}) {
    const newId = (): string => {
      this.#ids += 1;
      return `id-${this.#ids}`;
    };
    this.gate = createGate(
      {
        session: 's1',
        server: 'bank',
        mode: 'enforce',
        failMode: 'closed',
        injected: new Set(),
        maxPending: 100,
        upstreamTimeoutMs: 1000,
        newId,
        ...options,
      },
      { handle: 1, digest: 'digest-1' },
    );
  }

  do(event: GateEvent): Effect[] {
    const effects = step(this.gate, event, this.now);
    this.all.push(...effects);
    return effects;
  }

  /** A message comes; its verdict does not yet. */
  arrive(ordered = false): number {
    this.seq += 1;
    this.do({ type: 'agent_message', seq: this.seq, ordered });
    return this.seq;
  }

  judged(seq: number, verdict: Verdict): Effect[] {
    return this.outcome(seq, { kind: 'verdict', verdict, queueUs: 3, evaluationUs: 4 });
  }

  failed(seq: number, reason: Extract<JobOutcome, { kind: 'failure' }>['reason']): Effect[] {
    return this.outcome(seq, {
      kind: 'failure',
      reason,
      detail: 'what happened',
      queueUs: 5,
      evaluationUs: 6,
    });
  }

  outcome(seq: number, outcome: JobOutcome): Effect[] {
    return this.do({ type: 'evaluated', seq, outcome });
  }

  /** Arrives and is judged at once. */
  send(verdict: Verdict): { readonly seq: number; readonly effects: Effect[] } {
    const seq = this.arrive(verdict.kind !== 'call');
    return { seq, effects: this.judged(seq, verdict) };
  }

  reserved(seq: number, outcome: ReserveOutcome = { kind: 'reserved', id: 'r' }): Effect[] {
    return this.do({ type: 'reserved', seq, outcome });
  }

  recorded(seq: number, outcome: LogOutcome = RECORDED): Effect[] {
    return this.do({ type: 'recorded', seq, outcome });
  }

  /** A call that is with the upstream now. */
  forwarded(id: string, more: Partial<CallVerdict> = {}): number {
    const { seq } = this.send(call(id, more));
    if (more.ruling?.effect === 'allow' && more.ruling.obligations.length > 0) this.reserved(seq);
    const effects = this.recorded(seq);
    assert.deepEqual(types(effects), ['forward'], `call ${id} was to be forwarded`);
    return seq;
  }

  /** A message of the server's, read at once. */
  server(reading: ServerReading): Effect[] {
    this.sseq += 1;
    this.do({ type: 'server_message', sseq: this.sseq });
    return this.do({ type: 'server_read', sseq: this.sseq, reading });
  }

  answer(id: string, outcome: 'result' | 'error' | 'input_required' = 'result'): Effect[] {
    return this.server({ kind: 'response', id, outcome });
  }

  pass(ms: number): Effect[] {
    this.now.us += ms * 1000;
    this.now.wallMs += ms;
    return this.do({ type: 'tick' });
  }

  /** INVARIANT: once nothing is owed the gate remembers nothing. */
  assertEmpty(): void {
    const g = this.gate;
    assert.deepEqual(
      [
        g.messages.size,
        g.byId.size,
        g.byToken.size,
        g.slots,
        g.held.size,
        g.waiting.size,
        g.serverReadings.size,
      ],
      [0, 0, 0, 0, 0, 0, 0],
      'messages, ids, tokens, slots, held, waiting, readings',
    );
    assert.equal(g.cancelledPending, 0);
    assert.deepEqual([g.silent.first, g.unreadOrdered.first, g.unreadOther.first], [null, null, null]);
  }
}

export function types(effects: readonly Effect[]): string[] {
  return effects.map(({ type }) => type);
}

export function only<T extends Effect['type']>(effects: readonly Effect[], type: T): EffectOf<T> {
  const found = effects.filter((effect): effect is EffectOf<T> => effect.type === type);
  assert.equal(found.length, 1, `exactly one ${type} among ${types(effects).join(', ')}`);
  return found[0] as EffectOf<T>;
}

export function decisionIn(effects: readonly Effect[]): Decision {
  return only(effects, 'record').decision;
}

export function replyIn(effects: readonly Effect[]): Reply {
  return only(effects, 'reply').reply;
}
