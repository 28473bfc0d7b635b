/**
 * The order in which messages go to the upstream. A message may go once no earlier message is unread that may be
 * something other than a tool call; what has to wait goes in order of arrival. So messages that are no calls pass in
 * their order, no call overtakes them, and a call that takes long holds up nobody.
 */
import type { GateState, Message } from './state.ts';

/** A doubly linked line of messages through their own fields. INVARIANT: a message stands in one line at most. */
export class Line {
  first: Message | null = null;
  last: Message | null = null;

  append(message: Message): void {
    message.line = this;
    message.previous = this.last;
    message.next = null;
    if (this.last === null) this.first = message;
    else this.last.next = message;
    this.last = message;
  }

  remove(message: Message): void {
    if (message.line !== this) return;
    if (message.previous === null) this.first = message.next;
    else message.previous.next = message.next;
    if (message.next === null) this.last = message.previous;
    else message.next.previous = message.previous;
    message.line = null;
    message.previous = null;
    message.next = null;
  }
}

/** Messages by `seq`, the lowest first: a binary heap. */
export class Held {
  readonly #heap: Message[] = [];

  get size(): number {
    return this.#heap.length;
  }

  get first(): Message | undefined {
    return this.#heap[0];
  }

  push(message: Message): void {
    const heap = this.#heap;
    let at = heap.push(message) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Message;
      if (above.seq <= message.seq) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = message;
  }

  shift(): Message | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as Message).seq < (heap[child] as Message).seq)
        child += 1;
      if ((heap[child] as Message).seq >= last.seq) break;
      heap[at] = heap[child] as Message;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

export function arrive(state: GateState, message: Message): void {
  (message.ordered ? state.unreadOrdered : state.unreadOther).append(message);
}

export function leaveUnread(message: Message): void {
  message.line?.remove(message);
}

/** INVARIANT: while this holds for a message, it holds for every earlier one. */
export function mayGo(state: GateState, seq: number): boolean {
  const blocker = state.unreadOrdered.first;
  return blocker === null || blocker.seq > seq;
}

/** Is every message before this one read? */
export function allReadBefore(state: GateState, seq: number): boolean {
  const other = state.unreadOther.first;
  return mayGo(state, seq) && (other === null || other.seq > seq);
}
