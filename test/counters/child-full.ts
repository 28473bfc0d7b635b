/**
 * A process whose files may not grow beyond a limit: `child-full DIR BURST`. It adds counters, BURST in one step, until it is
 * refused, then uses the first one again.
 */
import { writeSync } from 'node:fs';
import { openLmdbCounters } from '../../src/counters/lmdb.ts';
import { ask, NOON, reserve } from './stores.ts';

let ms = 0;
const opened = openLmdbCounters({
  dir: process.argv[2] ?? '',
  server: 's',
  now: () => NOON,
  monotonicMs: () => ms,
});
if (!opened.ok) {
  writeSync(1, JSON.stringify({ opened: false, detail: opened.detail }));
} else {
  const { counters } = opened;
  let made = 0;
  let detail = '';
  const burst = Number(process.argv[3]);
  ask(counters, 'first', [reserve({ name: 'n0' })]);
  while (made < 60_000 && detail === '') {
    const outcomes = counters.reserve(
      Array.from({ length: burst }, (_, i) => ({
        reservation: `r${made + i}`,
        obligations: [reserve({ name: `x${made + i}` })],
      })),
    );
    const last = outcomes.at(-1);
    if (last?.kind === 'unavailable') detail = last.detail;
    else made += burst;
  }
  const atOnce = ask(counters, 'at-once', [reserve({ name: 'n0' })]).kind;
  ms += 1000;
  const later = ask(counters, 'later', [reserve({ name: 'n0', lte: '2' })]).kind;
  const spent = ask(counters, 'spent', [reserve({ name: 'n0', lte: '2' })]).kind;
  writeSync(1, JSON.stringify({ opened: true, made, detail, atOnce, later, spent }));
  await counters.close();
}
