/**
 * What must be true of a gate, said a second time and independently: a plain model is told of every event and every
 * effect, and throws a {@link Violation} that names the promise broken. It scans all it knows on every step, so it can
 * be slow and simple where the gate is quick.
 */
import type { Decision } from '../../src/decision/decision.ts';
import type { DenyReason } from '../../src/decision/reason.ts';
import type { RequestId, ServerReading, Verdict } from '../../src/decision/verdict.ts';
import type { JobOutcome, PolicyInForce, Settlement } from '../../src/gate/ports.ts';
import type { Effect, GateEvent, GateOptions, Instant } from '../../src/gate/protocol.ts';
import {
  broken,
  type Call,
  check,
  type Fact,
  factOf,
  HARD,
  holdsId,
  idOf,
  idOrNull,
  isCleared,
  isOver,
  isUnread,
  methodOf,
  reasonAgainst,
  summary,
  text,
  tokenOf,
  Violation,
} from './fact.ts';

type Arrival = ServerReading | { readonly kind: 'failed' | 'oversize'; readonly detail: string };

const LISTEN = 'subscriptions/listen';

export class Model {
  readonly facts: Fact[] = [];
  readonly #options: GateOptions;
  #policy: PolicyInForce;
  #event: GateEvent = { type: 'tick' };
  #now: Instant = { us: 0, wallMs: 0 };
  #live: Fact[] = [];
  readonly #readings = new Map<number, Arrival>();
  #lastSseq = 0;
  /** Server messages are acted on in order: the next one whose relay or discard is due. */
  #nextSseq = 1;
  readonly serverPending = new Map<string, { readonly id: RequestId; readonly token: RequestId | null }>();
  readonly #announced = new Set<string>();
  readonly #badTokens = new Set<RequestId>();
  /** Of several requests under one token the last one sent counts. */
  readonly #tokens = new Map<RequestId, Fact>();
  #closed = false;
  #closedAfter = 0;
  #failed = false;
  #draining = false;
  #drained = false;
  readonly #timedOut = new Set<RequestId>();
  #lastOrdinary = 0;

  constructor(options: GateOptions, policy: PolicyInForce) {
    this.#options = options;
    this.#policy = policy;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get drained(): boolean {
    return this.#drained;
  }

  get live(): readonly Fact[] {
    return this.#live;
  }

  fact(seq: number): Fact {
    return this.facts[seq - 1] ?? broken('the simulation', `knows no message ${seq}`);
  }

  /** Before the gate is told. */
  before(event: GateEvent, now: Instant): void {
    this.#event = event;
    this.#now = now;
    this.#timedOut.clear();
    switch (event.type) {
      case 'agent_message':
      case 'agent_oversize':
        this.#arrive(
          event.seq,
          event.type === 'agent_message' && event.ordered,
          event.type === 'agent_oversize',
        );
        break;
      case 'evaluated':
        this.#evaluated(this.fact(event.seq), event.outcome);
        break;
      case 'reserved':
        this.fact(event.seq).reserveOutcome = event.outcome;
        break;
      case 'recorded': {
        const fact = this.fact(event.seq);
        fact.recording = false;
        fact.logged = event.outcome;
        break;
      }
      case 'server_message':
        this.#lastSseq = event.sseq;
        if (this.#closed) this.#readings.set(event.sseq, { kind: 'failed', detail: '' });
        break;
      case 'server_oversize':
        this.#lastSseq = event.sseq;
        this.#readings.set(event.sseq, { kind: 'oversize', detail: '' });
        break;
      case 'server_read':
        this.#readings.set(event.sseq, event.reading);
        break;
      case 'upstream_closed':
        if (!this.#closed) this.#closedAfter = this.#lastSseq;
        this.#closed = true;
        break;
      case 'policy':
        this.#policy = event.policy;
        break;
      case 'drain':
        this.#draining = true;
        break;
      case 'tick':
        break;
    }
  }

  /** After the gate's effects. */
  after(effects: readonly Effect[]): void {
    for (const effect of effects) this.#effect(effect);
    check(this.#timedOut.size === 0 || this.#closed, 'P3', 'the upstream is told of what timed out');
    this.#readDue();
    this.#silence();
    this.#checkProgress();
    this.#live = this.#live.filter((fact) => !isOver(fact));
  }

  // ---- what comes in

  #arrive(seq: number, ordered: boolean, oversize: boolean): void {
    const fact = factOf(seq, ordered, oversize, this.#policy, this.#draining);
    this.facts.push(fact);
    this.#live.push(fact);
  }

  #evaluated(fact: Fact, outcome: JobOutcome): void {
    const kind = fact.evaluating;
    fact.evaluating = null;
    if (outcome.kind !== 'verdict') {
      fact.failure ??= outcome.kind === 'failure' ? outcome.reason : 'evaluation_error';
      fact.unreadable = kind === 'read';
      return;
    }
    const { verdict } = outcome;
    fact.judged = kind === 'judge';
    if (verdict.kind === 'call' || verdict.kind === 'request') {
      const { id } = verdict;
      fact.duplicate = id !== null && this.#live.some((other) => other !== fact && holdsId(other, text(id)));
    }
    fact.verdict = verdict;
    fact.waits = this.#waits(verdict);
    if (verdict.kind === 'request' && !fact.duplicate && !fact.late && !this.#closed)
      fact.slot = this.#hasRoom(fact);
    if (verdict.kind === 'response') {
      fact.stray = this.serverPending.get(text(verdict.id))?.id !== verdict.id;
      if (!fact.stray) this.serverPending.delete(text(verdict.id));
    }
    if (verdict.kind === 'call') {
      fact.announced = this.#announced.has(verdict.tool);
      if (verdict.progressToken !== undefined) this.#badTokens.add(verdict.progressToken);
    }
  }

  /** Progress on a request of the server's passes in its turn: it cannot be about a denied call. */
  #waits(verdict: Verdict): boolean {
    if (verdict.kind !== 'notification') return false;
    if (verdict.method === 'notifications/cancelled') return true;
    const { method, progressToken } = verdict;
    if (method !== 'notifications/progress' || progressToken === undefined) return false;
    return ![...this.serverPending.values()].some((request) => request.token === progressToken);
  }

  // ---- what the gate asks for

  #effect(effect: Effect): void {
    switch (effect.type) {
      case 'evaluate':
        return this.#evaluate(this.fact(effect.seq), effect);
      case 'reserve':
      case 'peek':
        return this.#ask(this.fact(effect.seq), effect);
      case 'settle':
        return this.#settle(effect.reservation, effect.settlement);
      case 'record':
        return this.#record(this.fact(effect.seq), effect.decision);
      case 'forward':
        return this.#forward(this.fact(effect.seq));
      case 'drop':
        return this.#drop(this.fact(effect.seq));
      case 'reply':
        return this.#reply(effect);
      case 'read_server':
        check(
          effect.policy === this.#policy.handle,
          'P5',
          'a server message is read under the policy in force',
        );
        return;
      case 'relay':
      case 'discard':
        return this.#serverEffect(effect);
      case 'cancel_upstream':
        check(
          this.#timedOut.delete(effect.id) && !this.#closed,
          'P3',
          `${effect.id} is cancelled upstream, having timed out`,
        );
        return;
      case 'drained':
        return this.#sayDrained();
      case 'note':
        check(
          !effect.message.includes('nothing waited for'),
          'the driver',
          `is in step with the gate: ${effect.message}`,
        );
        return;
    }
  }

  #evaluate(fact: Fact, { kind, policy }: Extract<Effect, { type: 'evaluate' }>): void {
    check(
      policy === fact.policy.handle,
      'P5',
      `message ${fact.seq} is judged under the policy in force when it came`,
    );
    check(fact.evaluating === null && fact.verdict === null, 'P1', 'a message is evaluated once at a time');
    if (kind === 'judge') check(!fact.judgedOnce && !fact.late, 'P1', 'a message is judged once');
    else
      check(fact.late || fact.failure !== null, 'P4', 'a reading alone is for what failed or came too late');
    fact.judgedOnce = true;
    fact.evaluating = kind;
  }

  #ask(fact: Fact, effect: Extract<Effect, { type: 'reserve' | 'peek' }>): void {
    const ruling = fact.verdict?.kind === 'call' ? fact.verdict.ruling : undefined;
    check(
      fact.judged && ruling !== undefined && fact.asked === null && fact.records.length === 0,
      'P6',
      'counters are asked once, about a ruling',
    );
    fact.asked = effect.type;
    if (effect.type === 'peek') {
      check(
        ruling?.effect === 'deny' && ruling.earlier === effect.obligations,
        'P6',
        "it peeks at earlier rules' reads",
      );
      return;
    }
    check(
      ruling?.effect === 'allow' && ruling.obligations === effect.obligations,
      'P6',
      "it reserves the ruling's obligations",
    );
    check(!this.#closed, 'P6', 'nothing is reserved for a dead upstream');
    fact.reservation = effect.reservation;
    this.#takeSlot(fact);
  }

  #takeSlot(fact: Fact): void {
    if (fact.slot || idOf(fact) === null) return;
    fact.slot = true;
    const slots = this.#live.filter((other) => other.slot && !isOver(other)).length;
    check(
      slots <= this.#options.maxPending,
      'the bound',
      `${slots} requests are owed of ${this.#options.maxPending}`,
    );
  }

  #settle(reservation: string, settlement: Settlement): void {
    const fact = this.facts.find((one) => one.reservation === reservation);
    if (fact === undefined) throw new Violation(`P6: ${reservation} was never reserved`);
    check(
      fact.reserveOutcome?.kind === 'reserved',
      'P6',
      `${reservation} is settled only once it is reserved`,
    );
    check(fact.settled === null, 'P6', `${reservation} is settled once`);
    check(
      settlement === 'commit' ? fact.fate === 'forwarded' : true,
      'P6',
      `${reservation} is kept only for a call that was sent`,
    );
    fact.settled = settlement;
  }

  #record(fact: Fact, decision: Decision): void {
    check(
      !fact.recording && fact.fate === 'open',
      'P7',
      `one record at a time, before the effect (${fact.seq})`,
    );
    const [before] = fact.records;
    const expected = this.#expected(fact);
    if (before === undefined) check(fact.logged === null, 'P7', 'a first record');
    else {
      const amends =
        before.effect === 'allow' && fact.records.length === 1 && fact.logged?.kind === 'recorded';
      check(
        amends && decision.id === before.id && decision.effect === 'deny',
        'P7',
        `a second record takes an allow back (${fact.seq})`,
      );
    }
    const found = summary(decision.effect, decision.reason, decision.wouldDeny, decision.failure);
    check(found === expected, 'P1/P4/P9', `message ${fact.seq} is decided as ${expected}, found ${found}`);
    check(
      decision.policyDigest === fact.policy.digest,
      'P5',
      'a decision names the policy it was made under',
    );
    check(decision.requestId === idOrNull(fact), 'P7', 'a decision names its request');
    const holds =
      decision.effect === 'allow' && fact.reserveOutcome?.kind === 'reserved'
        ? (fact.reservation ?? undefined)
        : undefined;
    check(decision.reservation === holds, 'P6', `the decision on ${fact.seq} names the reservation it holds`);
    fact.records.push(decision);
    fact.recording = true;
    if (decision.effect === 'allow') this.#takeSlot(fact);
    else this.#checkGivenBack(fact);
  }

  #checkGivenBack(fact: Fact): void {
    if (fact.reserveOutcome?.kind !== 'reserved' || fact.reservation === null) return;
    check(fact.settled === 'rollback', 'P6', `what call ${fact.seq} took is given back when it is denied`);
  }

  /** The decision, from the facts alone. */
  #expected(fact: Fact): string {
    const { mode, failMode } = this.#options;
    const denied = (reason: DenyReason): string => summary('deny', reason);
    if (fact.oversize) return denied('malformed_message');
    if (fact.unreadable) return denied(fact.failure ?? 'evaluation_error');
    const verdict = fact.verdict;
    if (verdict?.kind === 'malformed') return denied(verdict.reason);
    if (verdict?.kind === 'request' && fact.duplicate) return denied('malformed_message');
    if (verdict?.kind !== 'call') throw new Violation(`P7: message ${fact.seq} is no decision`);
    if (fact.duplicate) return denied('malformed_message');
    if (fact.calledOff) return denied('cancelled');
    if (fact.records.length > 0) {
      check(this.#closed, 'P7', 'an allow is taken back for a cancellation or a dead upstream');
      return denied('upstream_unavailable');
    }
    const against = reasonAgainst(fact, verdict);
    const failed = against?.startsWith('evaluation_') === true;
    if (against !== null && HARD.has(against)) return denied(against);
    const isLetThrough = against === null || (failed && failMode === 'open') || mode === 'dry_run';
    if (!isLetThrough) return denied(against ?? 'evaluation_error');
    if (this.#closed) return denied('upstream_unavailable');
    if (!this.#hasRoom(fact)) return denied('overload');
    if (against === null) return summary('allow', 'allowed');
    return failed && failMode === 'open'
      ? summary('allow', 'failed_open', undefined, against)
      : summary('allow', 'allowed', against);
  }

  #hasRoom(fact: Fact): boolean {
    if (fact.slot || idOf(fact) === null) return true;
    return this.#live.filter((other) => other.slot && !isOver(other)).length < this.#options.maxPending;
  }

  #forward(fact: Fact): void {
    const { verdict, seq } = fact;
    check(fact.fate === 'open', 'P3', `message ${seq} leaves once`);
    check(!this.#closed, 'P1', 'nothing is sent to a dead upstream');
    check(!fact.calledOff, 'P3', `message ${seq} was cancelled before it was sent`);
    if (verdict === null || fact.oversize || verdict.kind === 'malformed' || fact.duplicate) {
      throw new Violation(`P1: message ${seq} was not read as something to forward`);
    }
    check(
      !this.#live.some((one) => one.ordered && isUnread(one) && one.seq < seq),
      'order',
      `${seq} goes behind all that may be no call`,
    );
    if (verdict.kind === 'call') this.#forwardCall(fact, verdict);
    else if (verdict.kind === 'response')
      check(!fact.stray, 'P3', 'an answer goes to a request that is pending');
    else if (verdict.kind === 'request') {
      check(
        !fact.late && fact.slot,
        'P3',
        'a request without room, or that came while draining, is not sent',
      );
    } else if (fact.waits) this.#forwardWaiting(fact, verdict);
    if (fact.ordered && verdict.kind !== 'call' && !fact.waits) {
      check(seq > this.#lastOrdinary, 'order', `${seq} goes before ${this.#lastOrdinary}`);
      this.#lastOrdinary = seq;
    }
    const behind = this.#live.some((one) => one.seq < seq && one.ordered && isCleared(one));
    check(!behind || fact.waits, 'order', `${seq} overtakes an earlier message that is no call`);
    fact.fate = 'forwarded';
    fact.heardUs = this.#now.us;
    fact.pending = idOf(fact) !== null;
    const token = tokenOf(fact);
    if (token === null) return;
    this.#badTokens.delete(token);
    if (fact.pending) this.#tokens.set(token, fact);
  }

  #forwardCall(fact: Fact, verdict: Call): void {
    const record = fact.records.at(-1);
    check(record?.effect === 'allow' && fact.records.length === 1, 'P1', `call ${fact.seq} was allowed`);
    check(
      !fact.recording && fact.logged?.kind === 'recorded',
      'P7',
      `the allow of call ${fact.seq} is on record`,
    );
    const let_through = record?.wouldDeny !== undefined || record?.failure !== undefined;
    if (!let_through) {
      check(
        fact.judged && verdict.ruling?.effect === 'allow',
        'P1',
        `call ${fact.seq} was judged and allowed`,
      );
      const needs = verdict.ruling?.effect === 'allow' && verdict.ruling.obligations.length > 0;
      if (needs)
        check(
          fact.reserveOutcome?.kind === 'reserved' && fact.settled === null,
          'P1',
          `the limits of call ${fact.seq} are reserved`,
        );
    }
    check(
      record?.failure === undefined || this.#options.failMode === 'open',
      'P1',
      'a failure is let through by an open fail mode alone',
    );
    check(
      record?.wouldDeny === undefined || this.#options.mode === 'dry_run',
      'P1',
      'a denial is let through by a dry run alone',
    );
  }

  #forwardWaiting(fact: Fact, verdict: Extract<Verdict, { kind: 'notification' }>): void {
    if (verdict.method === 'notifications/cancelled') {
      const target = this.#targetOf(fact);
      check(
        target?.pending === true && !target.cancelled,
        'P3',
        `a cancellation is sent for what the upstream has (${fact.seq})`,
      );
      if (target === undefined) return;
      target.cancelled = true;
      if (methodOf(target) === LISTEN) target.heardUs = this.#now.us;
      return;
    }
    check(
      !this.#badTokens.has(verdict.progressToken ?? ''),
      'P1',
      `progress ${fact.seq} is not about a call that was not sent`,
    );
    check(
      !this.#live.some((one) => isUnread(one) && one.seq < fact.seq),
      'order',
      `progress ${fact.seq} waits for all before it`,
    );
  }

  /** What a cancellation is about, among the requests that came before it. */
  #targetOf(cancel: Fact): Fact | undefined {
    const { verdict } = cancel;
    if (verdict?.kind !== 'notification' || verdict.cancels === undefined) return undefined;
    return this.#live.find(
      (one) =>
        holdsId(one, text(verdict.cancels ?? '')) && idOf(one) === verdict.cancels && one.seq < cancel.seq,
    );
  }

  #drop(fact: Fact): void {
    check(fact.fate === 'open', 'P3', `message ${fact.seq} leaves once`);
    check(!fact.recording, 'P7', `message ${fact.seq} waits for its record`);
    const { verdict } = fact;
    if (verdict?.kind === 'call')
      check(fact.records.length > 0, 'P7', `the denial of call ${fact.seq} is on record`);
    if (verdict?.kind === 'notification' && verdict.method === 'notifications/cancelled')
      this.#dropCancel(fact);
    else if (verdict?.kind === 'notification') this.#dropNotification(fact, verdict);
    if (verdict?.kind === 'response')
      check(fact.stray || this.#closed, 'P3', 'an answer that is waited for passes');
    this.#checkGivenBackIfDenied(fact);
    fact.fate = 'dropped';
  }

  #dropNotification(fact: Fact, { method, progressToken }: Extract<Verdict, { kind: 'notification' }>): void {
    const bad =
      method === 'notifications/progress' &&
      progressToken !== undefined &&
      this.#badTokens.has(progressToken);
    check((bad && fact.waits) || this.#closed, 'order', `notification ${fact.seq} passes`);
  }

  #dropCancel(fact: Fact): void {
    check(
      !this.#live.some((one) => isUnread(one) && one.seq < fact.seq),
      'order',
      `cancellation ${fact.seq} waits for all before it`,
    );
    const target = this.#targetOf(fact);
    if (target === undefined || target.cancelled || target.calledOff) return;
    if (target.pending) {
      check(this.#closed, 'P3', `the cancellation ${fact.seq} of a request that the upstream has is sent`);
      target.cancelled = true;
      return;
    }
    const isDenied = target.records.at(-1)?.effect === 'deny';
    if (!isDenied && target.verdict?.kind === 'call') target.calledOff = true;
  }

  #checkGivenBackIfDenied(fact: Fact): void {
    if (fact.verdict?.kind === 'call') this.#checkGivenBack(fact);
  }

  // ---- what the agent is told

  #reply({ reply }: Extract<Effect, { type: 'reply' }>): void {
    const { decision } = reply;
    if (decision === undefined) {
      check(
        reply.kind === 'error' && reply.id !== null,
        'P3',
        'a reply without a decision is an error about a request',
      );
      this.#replyWithoutDecision(reply.id as RequestId, reply.kind === 'error' ? reply.reason : 'cancelled');
      return;
    }
    const fact = this.facts.find((one) => one.records.some(({ id }) => id === decision.id));
    if (fact === undefined) throw new Violation('P7: a decision is answered that was never put on record');
    check(!fact.recording && fact.logged !== null, 'P7', `message ${fact.seq} is answered after its record`);
    check(
      decision.effect === 'deny' && fact.fate === 'dropped',
      'P3',
      `message ${fact.seq} is answered with a denial and not sent`,
    );
    const isLost = fact.logged?.kind === 'unavailable' && fact.records.at(-1)?.effect === 'allow';
    if (isLost)
      check(decision.reason === 'log_unavailable', 'P7', 'an allow that is not on record is denied for that');
    else check(decision === fact.records.at(-1), 'P7', 'what is answered is what is on record');
    check(!fact.calledOff, 'P3', `a cancelled call is not answered (${fact.seq})`);
    check(reply.id === idOrNull(fact), 'P3', `message ${fact.seq} is answered under its id`);
    this.#answered(fact);
  }

  #replyWithoutDecision(id: RequestId, reason: DenyReason): void {
    const fact = this.#live.find((one) => idOf(one) === id && holdsId(one, text(id)));
    if (fact?.pending === true) {
      check(!fact.cancelled, 'P3', `nobody waits for ${id} any more`);
      this.#endPending(fact, 'commit');
      if (reason === 'upstream_timeout') {
        check(
          this.#now.us - fact.heardUs > this.#options.upstreamTimeoutMs * 1000,
          'P3',
          `${id} was silent long enough`,
        );
        if (methodOf(fact) !== 'initialize') this.#timedOut.add(id);
      } else if (reason === 'daemon_unavailable') {
        check(methodOf(fact) === LISTEN && this.#draining, 'P3', 'only subscriptions are ended by a drain');
        this.#timedOut.add(id);
      } else check(reason === 'upstream_unavailable', 'P3', `a pending request ends with ${reason}`);
      this.#answered(fact);
      return;
    }
    // Refused before it was sent: dropped in the same step, or just read and answered.
    const refused = this.facts.findLast(
      (one) =>
        one.verdict?.kind === 'request' &&
        !one.duplicate &&
        idOf(one) === id &&
        one.fate === 'dropped' &&
        one.answers === 0,
    );
    if (refused === undefined) throw new Violation(`P3: ${id} is answered and was not asked`);
    if (reason === 'overload')
      check(!this.#hasRoom(refused), 'the bound', 'a request is refused for want of room');
    else if (reason === 'daemon_unavailable')
      check(refused.late, 'P3', 'a request is refused while draining');
    else
      check(
        reason === 'upstream_unavailable' && this.#closed,
        'P3',
        'a request is refused by a dead upstream',
      );
    this.#answered(refused);
  }

  #answered(fact: Fact): void {
    fact.answers += 1;
    check(fact.answers === 1, 'P3', `message ${fact.seq} is answered once`);
  }

  #endPending(fact: Fact, expected: Settlement): void {
    fact.pending = false;
    const token = tokenOf(fact);
    if (token !== null && this.#tokens.get(token) === fact) this.#tokens.delete(token);
    if (fact.reserveOutcome?.kind !== 'reserved' || fact.reservation === null) return;
    check(
      fact.settled === expected,
      'P6',
      `call ${fact.seq} ends with ${expected}, found ${fact.settled ?? 'nothing'}`,
    );
  }

  // ---- what the server says

  #serverEffect(effect: Extract<Effect, { type: 'relay' | 'discard' }>): void {
    check(
      effect.sseq === this.#nextSseq,
      'order',
      `server message ${this.#nextSseq} is acted on before ${effect.sseq}`,
    );
    const reading = this.#readings.get(effect.sseq);
    if (reading === undefined) throw new Violation(`order: server message ${effect.sseq} was not read yet`);
    this.#nextSseq += 1;
    this.#readings.delete(effect.sseq);
    const relayed = effect.type === 'relay';
    switch (reading.kind) {
      case 'response': {
        const fact = this.#live.find((one) => one.pending && idOf(one) === reading.id);
        check(
          relayed === (fact !== undefined),
          'P3',
          `the answer to ${reading.id} is passed on if it is owed`,
        );
        if (fact === undefined) return;
        this.#endPending(fact, reading.outcome === 'result' ? 'commit' : 'rollback');
        this.#answered(fact);
        const cut = effect.type === 'relay' && effect.listing !== undefined;
        check(
          cut === (reading.listing !== undefined && this.#options.mode === 'enforce'),
          'P1',
          'lists are cut where it is enforced',
        );
        if (reading.listing !== undefined && methodOf(fact) === 'tools/list')
          for (const name of reading.listing.names) this.#announced.add(name);
        return;
      }
      case 'request': {
        const room = this.serverPending.size < this.#options.maxPending;
        const fresh = !this.serverPending.has(text(reading.id));
        check(relayed === (fresh && room), 'P3', `the server's request ${reading.id} is passed on once`);
        if (relayed)
          this.serverPending.set(text(reading.id), { id: reading.id, token: reading.progressToken ?? null });
        return;
      }
      case 'notification': {
        check(relayed, 'order', 'a notification of the server is passed on');
        const { cancels, progressToken } = reading;
        if (cancels !== undefined && this.serverPending.get(text(cancels))?.id === cancels)
          this.serverPending.delete(text(cancels));
        if (progressToken === undefined || reading.method !== 'notifications/progress') return;
        const fact = this.#tokens.get(progressToken);
        if (fact !== undefined && (methodOf(fact) !== LISTEN || fact.cancelled)) fact.heardUs = this.#now.us;
        return;
      }
      case 'malformed': {
        check(!relayed, 'P3', 'nonsense is not passed on');
        const fact = this.#live.find((one) => one.pending && idOf(one) === reading.id);
        if (fact === undefined) return;
        check(fact.cancelled, 'P3', `${reading.id ?? ''} is answered when the server answers nonsense`);
        this.#endPending(fact, 'commit');
        return;
      }
      case 'failed':
      case 'oversize':
        check(!relayed, 'P3', 'what was not read is not passed on');
    }
  }

  /** Whatever was read in its turn was acted on. */
  #readDue(): void {
    check(!this.#readings.has(this.#nextSseq), 'order', `server message ${this.#nextSseq} was due`);
    if (!this.#closed || this.#failed || this.#nextSseq <= this.#closedAfter) return;
    this.#failed = true;
    for (const fact of this.#live) {
      if (!fact.pending) continue;
      check(fact.cancelled, 'P3', `message ${fact.seq} is answered when the upstream is gone`);
      this.#endPending(fact, 'commit');
    }
    this.serverPending.clear();
  }

  #silence(): void {
    if (this.#event.type !== 'tick') return;
    for (const fact of this.#live) {
      if (!fact.pending || (methodOf(fact) === LISTEN && !fact.cancelled)) continue;
      if (this.#now.us - fact.heardUs <= this.#options.upstreamTimeoutMs * 1000) continue;
      check(fact.cancelled, 'P3', `message ${fact.seq} is answered at its deadline`);
      this.#endPending(fact, 'commit');
    }
  }

  #sayDrained(): void {
    check(this.#draining && !this.#drained, 'drain', 'it drains once, when asked');
    this.#drained = true;
    for (const fact of this.#live) {
      if (isOver(fact)) continue;
      check(fact.pending && fact.cancelled, 'drain', `message ${fact.seq} is still owed something`);
      this.#endPending(fact, 'commit');
    }
  }

  /** Nothing waits without a reason, so nothing is held up by what it should not be held up by. */
  #checkProgress(): void {
    for (const fact of this.#live) {
      if (isOver(fact) || fact.pending) continue;
      const { seq, verdict, waits } = fact;
      if (isUnread(fact)) {
        check(fact.evaluating !== null, 'P3', `message ${seq} is being evaluated`);
        continue;
      }
      if (fact.recording || (fact.asked !== null && fact.reserveOutcome === null)) continue;
      const blocked = this.#live.some((one) => isUnread(one) && one.seq < seq && (waits || one.ordered));
      check(
        blocked && !(this.#closed && !waits),
        'order',
        `message ${seq} (${verdict?.kind ?? 'unread'}) waits for something`,
      );
    }
    if (this.#draining && !this.#drained)
      check(
        this.#live.some((one) => !isOver(one) && !(one.pending && one.cancelled)),
        'drain',
        'something is owed',
      );
  }

  /** At the end, when nothing is under way: every promise that can only be seen then. */
  quiescent(): void {
    for (const fact of this.facts) {
      check(isOver(fact), 'P3', `message ${fact.seq} came to an end`);
      const { verdict } = fact;
      const expects =
        fact.oversize ||
        fact.unreadable ||
        (verdict?.kind === 'malformed' && verdict.id !== undefined) ||
        idOf(fact) !== null;
      const wanted = expects ? 1 : 0;
      const excused = fact.cancelled || fact.calledOff;
      check(
        fact.answers === wanted || (excused && fact.answers === 0),
        'P3',
        `message ${fact.seq} has ${wanted} answer, found ${fact.answers}`,
      );
      if (fact.reserveOutcome?.kind === 'reserved' && fact.reservation !== null) {
        check(fact.settled !== null, 'P6', `the reservation of call ${fact.seq} is settled`);
        const isUnanswerable = fact.fate === 'forwarded' && idOf(fact) === null;
        check(
          !isUnanswerable || fact.settled === 'commit',
          'P6',
          `call ${fact.seq}, which nothing answers, keeps what it took`,
        );
      }
      const decides =
        verdict?.kind === 'call' ||
        verdict?.kind === 'malformed' ||
        fact.oversize ||
        fact.unreadable ||
        fact.duplicate;
      check(
        decides === fact.records.length > 0,
        'P7',
        `message ${fact.seq} is on record if it is a decision`,
      );
    }
  }
}
