/**
 * One agent and one upstream server, joined through the gate. This is the gate's driver: it carries the gate's
 * effects out and brings their outcomes back. It keeps the bytes of messages under way and decides nothing.
 *
 * Work is done in bursts: all messages of one read are handed to the evaluator together, all decisions that come
 * back together are put on record in one write, and what follows from them leaves in one write to each side.
 */

import type { Decision } from '../decision/decision.ts';
import type { SessionDescription } from '../decision/session-facts.ts';
import type { ServerReading } from '../decision/verdict.ts';
import { createGate, type GateState, step } from '../gate/gate.ts';
import type {
  Counters,
  DecisionLog,
  Evaluator,
  Job,
  JobOutcome,
  LogOutcome,
  PolicyInForce,
} from '../gate/ports.ts';
import type { Effect, GateEvent, GateOptions, Instant } from '../gate/protocol.ts';
import { SeqTable } from '../gate/seq-table.ts';
import { applyCuts } from '../mcp/apply-cuts.ts';
import type { ReadLimits } from '../mcp/limits.ts';
import { mayBeOther } from '../mcp/order-hint.ts';
import { readAgentMessage } from '../mcp/read-agent-message.ts';
import { readServerMessage } from '../mcp/read-server-message.ts';
import { cancelledNotification, replyBytes } from '../mcp/replies.ts';
import type { Channel } from '../transport/channel.ts';
import { ServerNames } from './server-names.ts';

export type SessionOptions = {
  readonly gate: GateOptions;
  readonly policy: PolicyInForce;
  readonly limits: ReadLimits;
  readonly maxMessageBytes: number;
};

export type SessionParts = {
  readonly evaluator: Evaluator;
  readonly counters: Counters;
  readonly log: DecisionLog;
  readonly clock: () => Instant;
  readonly note: (level: 'info' | 'warn' | 'error', message: string) => void;
  /** Told of every decision once it is on record. */
  readonly decided?: (decision: Decision) => void;
};

/** From so many messages under way on, latency comes from waiting and not from hand-overs. */
const BUSY_MESSAGES = 8;

/** Jobs of one session that the evaluator has at once: half of what it takes in all by default. */
const MAX_SUBMITTED = 512;

/** Reading pauses above the upper mark and goes on below the lower one. */
const BUFFER_HIGH_BYTES = 1 << 20;
const BUFFER_LOW_BYTES = 1 << 18;
const JOBS_HIGH = 512;
const JOBS_LOW = 128;
const JOB_BYTES_HIGH = 8 << 20;
const JOB_BYTES_LOW = 1 << 20;

/**
 * Messages from the server up to this size are read on the main thread, in linear time; longer ones, and every tool
 * list, in a lane. It saves two hand-overs on the way back.
 */
const INLINE_READ_BYTES = 16 << 10;

/** One job on its way through the evaluator; it knows what it is about, so no closure is made for each message. */
class Ticket implements Job {
  readonly kind: Job['kind'];
  readonly bytes: Buffer;
  readonly policy: number;
  readonly session: string;
  /** The message's number: `seq` of the agent's, `sseq` of the server's. */
  readonly seq: number;
  readonly #tell: (ticket: Ticket, outcome: JobOutcome) => void;
  /** It was judged before, and waited for the server's list. */
  isSecond = false;

  constructor(
    kind: Job['kind'],
    seq: number,
    bytes: Buffer,
    policy: number,
    session: string,
    tell: (ticket: Ticket, outcome: JobOutcome) => void,
  ) {
    this.kind = kind;
    this.seq = seq;
    this.bytes = bytes;
    this.policy = policy;
    this.session = session;
    this.#tell = tell;
  }

  done(outcome: JobOutcome): void {
    this.#tell(this, outcome);
  }

  again(): Ticket {
    const ticket = new Ticket(this.kind, this.seq, this.bytes, this.policy, this.session, this.#tell);
    ticket.isSecond = true;
    return ticket;
  }
}

export class Session {
  readonly #options: SessionOptions;
  readonly #parts: SessionParts;
  readonly #gate: GateState;
  readonly #serverNames: ServerNames;
  /** The server's answers to requests of our own, which the gate discards: that is no news. */
  readonly #ownAnswers = new Set<number>();
  #agent: Channel | undefined;
  #upstream: Channel | undefined;

  #seq = 0;
  #sseq = 0;
  readonly #agentBytes = new SeqTable<Buffer>();
  readonly #serverBytes = new SeqTable<Buffer>();
  #jobs = 0;
  #jobBytes = 0;
  /** In all, of the server's messages that are held. */
  #serverHeldBytes = 0;
  #agentPaused = true;
  #upstreamPaused = true;

  /** What the evaluations know of this session. */
  #description: SessionDescription;
  /** Jobs of this burst. */
  #unsubmitted: Ticket[] = [];
  #submitted = 0;
  #settling = false;
  /** Calls whose limits wait for the next step of the counters, and whose decision for the next commit of the log. */
  #unreserved: Extract<Effect, { type: 'reserve' }>[] = [];
  #unrecorded: { readonly seq: number; readonly decision: Decision }[] = [];
  #inBurst = false;
  #settleScheduled = false;
  #now: Instant;
  #whenDrained: (() => void) | undefined;
  #whenIdle: (() => void)[] = [];

  constructor(options: SessionOptions, parts: SessionParts) {
    this.#options = options;
    this.#parts = parts;
    this.#gate = createGate(options.gate, options.policy);
    this.#now = parts.clock();
    this.#serverNames = new ServerNames({
      send: (bytes) => {
        this.#upstream?.send(bytes);
        this.#settleSoon();
      },
      listed: (names) => this.#event({ type: 'listed', names }),
      known: (tools) => this.#describe({ tools }),
    });
    const { session: id, server } = options.gate;
    this.#description = {
      server,
      session: { id, clientName: null, clientVersion: null, startedMs: this.#now.wallMs },
      tools: null,
    };
    parts.evaluator.describe(id, this.#description);
  }

  /** Joins both sides and starts reading. */
  start(agent: Channel, upstream: Channel): void {
    this.#agent = agent;
    this.#upstream = upstream;
    this.#regulate();
  }

  // ---- what the transports bring

  agentMessage(bytes: Buffer): void {
    this.#beginBurst();
    const seq = ++this.#seq;
    this.#agentBytes.add(seq, bytes);
    this.#apply({ type: 'agent_message', seq, ordered: mayBeOther(bytes) });
  }

  agentOversize(): void {
    this.#beginBurst();
    this.#apply({ type: 'agent_oversize', seq: ++this.#seq, maxBytes: this.#options.maxMessageBytes });
  }

  serverMessage(bytes: Buffer): void {
    this.#beginBurst();
    const sseq = ++this.#sseq;
    this.#serverBytes.add(sseq, bytes);
    this.#serverHeldBytes += bytes.length;
    this.#apply({ type: 'server_message', sseq });
  }

  serverOversize(): void {
    this.#beginBurst();
    this.#apply({ type: 'server_oversize', sseq: ++this.#sseq, maxBytes: this.#options.maxMessageBytes });
  }

  /** All messages of one read were brought: hand them over together. */
  burst(): void {
    this.#inBurst = false;
    if (this.#isBusy) this.#settleSoon();
    else this.#settle();
  }

  drained(): void {
    this.#regulate();
  }

  upstreamClosed(detail: string): void {
    this.#serverNames.close();
    this.#event({ type: 'upstream_closed', detail });
  }

  // ---- what the daemon asks

  usePolicy(policy: PolicyInForce): void {
    this.#event({ type: 'policy', policy });
  }

  tick(): void {
    this.#event({ type: 'tick' });
  }

  /** Takes no further calls; resolves when nothing is owed any more. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenDrained = resolve;
      this.#event({ type: 'drain' });
    });
  }

  /** Resolves when every message that came from the agent so far has been judged and forwarded, answered or dropped. */
  async judged(): Promise<void> {
    while (this.#agentBytes.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  // ---- the loop

  #beginBurst(): void {
    if (this.#inBurst) return;
    this.#inBurst = true;
    this.#now = this.#parts.clock();
  }

  /** Something came in from outside a burst. */
  #event(event: GateEvent): void {
    this.#now = this.#parts.clock();
    this.#apply(event);
    this.#settleSoon();
  }

  #apply(event: GateEvent): void {
    for (const effect of step(this.#gate, event, this.#now)) this.#carryOut(effect);
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case 'evaluate':
        return this.#evaluate(effect.seq, effect.kind, effect.policy);
      case 'reserve':
        this.#unreserved.push(effect);
        return this.#settleSoon();
      case 'peek':
        return this.#peek(effect);
      case 'settle':
        return this.#parts.counters.settle(effect.reservation, effect.settlement);
      case 'record':
        this.#parts.log.append(effect.decision);
        this.#unrecorded.push(effect);
        return this.#settleSoon();
      case 'forward': {
        const bytes = this.#agentBytes.take(effect.seq);
        // FAIL-CLOSED: what is not held any more was dropped or forwarded before; it is never sent again.
        if (bytes === undefined) return this.#parts.note('error', 'the gate forwarded a message twice');
        this.#upstream?.send(bytes);
        return this.#settleSoon();
      }
      case 'drop':
        this.#agentBytes.take(effect.seq);
        return;
      case 'reply':
        this.#agent?.send(replyBytes(effect.reply));
        return this.#settleSoon();
      case 'read_server':
        return this.#readServer(effect.sseq, effect.policy);
      case 'relay': {
        const bytes = this.#takeServer(effect.sseq);
        if (bytes === undefined) return;
        this.#agent?.send(effect.listing === undefined ? bytes : applyCuts(bytes, effect.listing));
        return this.#settleSoon();
      }
      case 'discard':
        this.#takeServer(effect.sseq);
        if (this.#ownAnswers.delete(effect.sseq)) return;
        return this.#parts.note('warn', `a message of the upstream server was not passed on: ${effect.why}`);
      case 'cancel_upstream':
        this.#upstream?.send(cancelledNotification(effect.id, 'the deadline of the request passed'));
        return this.#settleSoon();
      case 'note':
        return this.#parts.note(effect.level, effect.message);
      case 'drained':
        this.#whenDrained?.();
        return;
    }
  }

  #takeServer(sseq: number): Buffer | undefined {
    const bytes = this.#serverBytes.take(sseq);
    this.#serverHeldBytes -= bytes?.length ?? 0;
    return bytes;
  }

  #evaluate(seq: number, kind: 'judge' | 'read', policy: number): void {
    const bytes = this.#agentBytes.get(seq);
    if (bytes === undefined) throw new Error('INVARIANT: a message under evaluation is held');
    this.#jobs += 1;
    this.#jobBytes += bytes.length;
    const ticket = new Ticket(kind, seq, bytes, policy, this.#options.gate.session, this.#jobDone);
    if (kind === 'read') this.#unsubmitted.unshift(ticket);
    else this.#unsubmitted.push(ticket);
    this.#settleSoon();
  }

  readonly #jobDone = (ticket: Ticket, outcome: JobOutcome): void => {
    this.#submitted -= 1;
    if (ticket.kind === 'server') return this.#serverRead(ticket.seq, asServerReading(outcome));
    if (!this.#mayAwaitServerNames(outcome)) return this.#judged(ticket, outcome);
    if (this.#awaitsTools(ticket, outcome)) return;
    if (!this.#awaitsServerNames(outcome, () => this.#judged(ticket, outcome))) this.#judged(ticket, outcome);
  };

  #judged({ kind, seq, bytes }: Ticket, outcome: JobOutcome): void {
    this.#jobs -= 1;
    this.#jobBytes -= bytes.length;
    const read = kind === 'read' ? this.#readAtLeast(bytes, outcome) : outcome;
    this.#event({ type: 'evaluated', seq, outcome: read });
  }

  #peek({ seq, obligations }: Extract<Effect, { type: 'peek' }>): void {
    this.#answer(this.#parts.counters.peek(obligations), unavailable, (outcome) =>
      this.#apply({ type: 'reserved', seq, outcome }),
    );
  }

  /** Goes on with an answer: at once where it is there, otherwise when it comes. */
  #answer<T>(answer: T | Promise<T>, broken: (error: unknown) => T, goOn: (answer: T) => void): void {
    if (!(answer instanceof Promise)) {
      goOn(answer);
      return;
    }
    // FAIL-CLOSED: a store that breaks its word is a store that is not there.
    void answer.catch(broken).then((value) => {
      this.#now = this.#parts.clock();
      goOn(value);
      this.#settleSoon();
    });
  }

  /**
   * A denial must say whom it answers even where no lane was free to read the message again. Read here it names its
   * sender and holds no ruling, so all it can become is a denial; where failures may be let through it stays unread.
   */
  #readAtLeast(bytes: Buffer, outcome: JobOutcome): JobOutcome {
    const { mode, failMode } = this.#options.gate;
    if (outcome.kind !== 'failure') return outcome;
    if (bytes.length > INLINE_READ_BYTES || mode !== 'enforce' || failMode !== 'closed') return outcome;
    const reading = readAgentMessage(bytes, this.#options.limits);
    const { queueUs, evaluationUs } = outcome;
    if (reading.kind !== 'call') return { kind: 'verdict', verdict: reading, queueUs, evaluationUs };
    const { args: _judgedByNobody, ...verdict } = reading;
    return { kind: 'verdict', verdict, queueUs, evaluationUs };
  }

  #mayAwaitServerNames(outcome: JobOutcome): boolean {
    if (outcome.kind !== 'verdict') return false;
    const { verdict } = outcome;
    if (verdict.kind === 'request') return true;
    return verdict.kind === 'call' && (verdict.unusualName === true || verdict.unannounced === true);
  }

  /** A name that only the server's list can vouch for waits until that list is known. */
  #awaitsServerNames(outcome: JobOutcome, then: () => void): boolean {
    if (outcome.kind !== 'verdict') return false;
    const { verdict } = outcome;
    if (verdict.kind === 'request' && verdict.method === 'initialize') {
      this.#serverNames.initialized();
      const { name, version } = verdict.client ?? { name: null, version: null };
      this.#describe({
        session: { ...this.#description.session, clientName: name, clientVersion: version },
      });
    }
    if (verdict.kind !== 'call' || verdict.unusualName !== true) return false;
    if (this.#gate.announced.has(verdict.tool) || this.#gate.closed !== null) return false;
    return this.#serverNames.await(then);
  }

  /** A call whose policy asks what the server says of the tool is judged again, once that is known. */
  #awaitsTools(ticket: Ticket, outcome: JobOutcome): boolean {
    if (outcome.kind !== 'verdict' || outcome.verdict.kind !== 'call') return false;
    if (outcome.verdict.unannounced !== true || ticket.isSecond || this.#gate.closed !== null) return false;
    const again = (): void => {
      this.#unsubmitted.push(ticket.again());
      this.#settleSoon();
    };
    if (!this.#serverNames.await(again)) again();
    return true;
  }

  #describe(changed: Partial<SessionDescription>): void {
    this.#description = { ...this.#description, ...changed };
    this.#parts.evaluator.describe(this.#options.gate.session, this.#description);
  }

  #serverRead(
    sseq: number,
    reading: ServerReading | { readonly kind: 'failed'; readonly detail: string },
  ): void {
    if (this.#serverNames.take(reading)) this.#ownAnswers.add(sseq);
    this.#event({ type: 'server_read', sseq, reading });
  }

  #readServer(sseq: number, policy: number): void {
    const bytes = this.#serverBytes.get(sseq);
    if (bytes === undefined) throw new Error('INVARIANT: a message under reading is held');
    if (bytes.length <= INLINE_READ_BYTES) {
      const reading = readServerMessage(bytes, this.#options.limits, anyTool);
      if (!(reading.kind === 'response' && reading.listing !== undefined)) {
        this.#serverRead(sseq, reading);
        return;
      }
    }
    const ticket = new Ticket('server', sseq, bytes, policy, this.#options.gate.session, this.#jobDone);
    this.#unsubmitted.push(ticket);
    this.#settleSoon();
  }

  /** With many messages under way, what all sides bring in one turn of the event loop makes one burst. */
  get #isBusy(): boolean {
    return this.#gate.messages.size > BUSY_MESSAGES;
  }

  /** Settles at the end of the burst under way, or soon after. */
  #settleSoon(): void {
    if (this.#inBurst || this.#settling || this.#settleScheduled) return;
    this.#settleScheduled = true;
    if (this.#isBusy) setImmediate(this.#settleNow);
    else queueMicrotask(this.#settleNow);
  }

  readonly #settleNow = (): void => {
    this.#settleScheduled = false;
    this.#settle();
  };

  /**
   * Hands jobs over, but no more than the evaluator is sure to take: a session's own flood waits here, in order,
   * instead of being denied. Answers may come back meanwhile, and bring further jobs.
   */
  #submit(): void {
    while (this.#canSubmit) {
      for (const job of this.#unsubmitted.splice(0, MAX_SUBMITTED - this.#submitted)) {
        this.#submitted += 1;
        this.#parts.evaluator.submit(job);
      }
      this.#parts.evaluator.flush();
    }
  }

  get #canSubmit(): boolean {
    return this.#unsubmitted.length > 0 && this.#submitted < MAX_SUBMITTED;
  }

  /** Puts decisions on record, does what follows from that, and hands both sides what is theirs. */
  #settle(): void {
    this.#settling = true;
    this.#submit();
    this.#now = this.#parts.clock();
    while (this.#unreserved.length > 0 || this.#unrecorded.length > 0) {
      this.#reserve();
      this.#record();
    }
    this.#settling = false;
    if (this.#canSubmit) this.#settleSoon();
    this.#upstream?.flush();
    this.#agent?.flush();
    this.#regulate();
    if (this.#agentBytes.size === 0 && this.#whenIdle.length > 0) {
      const waiting = this.#whenIdle;
      this.#whenIdle = [];
      for (const resolve of waiting) resolve();
    }
  }

  #reserve(): void {
    if (this.#unreserved.length === 0) return;
    const batch = this.#unreserved;
    this.#unreserved = [];
    this.#answer(
      this.#parts.counters.reserve(batch),
      (error) => batch.map(() => unavailable(error)),
      (outcomes) => {
        for (const [i, { seq }] of batch.entries())
          this.#apply({ type: 'reserved', seq, outcome: outcomes[i] ?? unavailable('no outcome') });
      },
    );
  }

  #record(): void {
    if (this.#unrecorded.length === 0) return;
    const batch = this.#unrecorded;
    this.#unrecorded = [];
    this.#answer<LogOutcome>(this.#parts.log.commit(), unavailable, (outcome) => {
      for (const { seq, decision } of batch) {
        this.#apply({ type: 'recorded', seq, outcome });
        this.#parts.decided?.(decision);
      }
    });
  }

  /** Back-pressure: reads from a side only while what follows from reading has room. */
  #regulate(): void {
    const agent = this.#agent;
    const upstream = this.#upstream;
    if (agent === undefined || upstream === undefined) return;
    const buffered = Math.max(agent.buffered, upstream.buffered);
    const pauseAgent = this.#agentPaused
      ? buffered > BUFFER_LOW_BYTES || this.#jobs > JOBS_LOW || this.#jobBytes > JOB_BYTES_LOW
      : buffered > BUFFER_HIGH_BYTES || this.#jobs > JOBS_HIGH || this.#jobBytes > JOB_BYTES_HIGH;
    if (pauseAgent !== this.#agentPaused) {
      this.#agentPaused = pauseAgent;
      if (pauseAgent) agent.pause();
      else agent.resume();
    }
    const unread = this.#serverBytes.size;
    const pauseUpstream = this.#upstreamPaused
      ? agent.buffered > BUFFER_LOW_BYTES || unread > JOBS_LOW || this.#serverHeldBytes > JOB_BYTES_LOW
      : agent.buffered > BUFFER_HIGH_BYTES || unread > JOBS_HIGH || this.#serverHeldBytes > JOB_BYTES_HIGH;
    if (pauseUpstream !== this.#upstreamPaused) {
      this.#upstreamPaused = pauseUpstream;
      if (pauseUpstream) upstream.pause();
      else upstream.resume();
    }
  }
}

const anyTool = (): boolean => true;

function unavailable(error: unknown): { readonly kind: 'unavailable'; readonly detail: string } {
  return { kind: 'unavailable', detail: error instanceof Error ? error.message : String(error) };
}

function asServerReading(
  outcome: JobOutcome,
): ServerReading | { readonly kind: 'failed'; readonly detail: string } {
  if (outcome.kind === 'reading') return outcome.reading;
  // FAIL-CLOSED: what was not read is not passed on.
  if (outcome.kind === 'failure') return { kind: 'failed', detail: `${outcome.reason}: ${outcome.detail}` };
  return { kind: 'failed', detail: 'the lane answered for another kind of message' };
}
