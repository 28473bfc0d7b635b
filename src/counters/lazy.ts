/** Counters that are opened when a call first needs one, so that a policy without limits opens no file and loads no store. */
import type { Settlement } from '../gate/ports.ts';
import type { Usage } from './backend.ts';
import type { CounterStore } from './ledger.ts';
import type { OpenedCounters } from './lmdb.ts';

const TRY_AGAIN_MS = 1000;

export function lazyCounters(
  open: () => OpenedCounters,
  monotonicMs: () => number = () => performance.now(),
): CounterStore {
  let opened: OpenedCounters | undefined;
  let triedAtMs = 0;
  let closed = false;
  const store = (): OpenedCounters => {
    if (closed) return { ok: false, detail: 'the counters are closed' };
    const now = monotonicMs();
    if (opened === undefined || (!opened.ok && now - triedAtMs >= TRY_AGAIN_MS)) {
      opened = open();
      triedAtMs = now;
    }
    return opened;
  };
  return {
    reserve: (requests) => {
      if (requests.every((r) => r.obligations.length === 0))
        return requests.map((r) => ({ kind: 'reserved', id: r.reservation }));
      const state = store();
      if (state.ok) return state.counters.reserve(requests);
      // FAIL-CLOSED: counters that cannot be opened reserve nothing; a call that needs none is no business of theirs.
      return requests.map(({ reservation, obligations }) =>
        obligations.length === 0
          ? { kind: 'reserved', id: reservation }
          : { kind: 'unavailable', detail: state.detail },
      );
    },
    peek: (obligations) => {
      if (obligations.length === 0) return { kind: 'reserved', id: '' };
      const state = store();
      return state.ok ? state.counters.peek(obligations) : { kind: 'unavailable', detail: state.detail };
    },
    settle: (reservation: string, settlement: Settlement) => {
      if (opened?.ok === true) opened.counters.settle(reservation, settlement);
    },
    list: (): Usage => {
      const state = store();
      return state.ok ? state.counters.list() : state;
    },
    close: async () => {
      closed = true;
      if (opened?.ok === true) await opened.counters.close();
    },
  };
}
