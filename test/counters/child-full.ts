/** A process whose files may not grow beyond a limit: it adds counters until it is refused, then uses the first one again. */
import { writeSync } from 'node:fs';
import { openLmdbCounters } from '../../src/counters/lmdb.ts';
import { ask, NOON, reserve } from './stores.ts';

let ms = 0;
const opened = openLmdbCounters({ dir: process.argv[2] ?? '', server: 's', now: () => NOON, monotonicMs: () => ms });
if (!opened.ok) {
  writeSync(1, JSON.stringify({ opened: false, detail: opened.detail }));
} else {
  const { counters } = opened;
  let made = 0;
  let detail = '';
  while (made < 20_000 && detail === '') {
    const outcome = ask(counters, `r${made}`, [reserve({ name: `n${made}` })]);
    if (outcome.kind === 'unavailable') detail = outcome.detail;
    else made += 1;
  }
  const atOnce = ask(counters, 'at-once', [reserve({ name: 'n0' })]).kind;
  ms += 1000;
  const later = ask(counters, 'later', [reserve({ name: 'n0', lte: '2' })]).kind;
  const spent = ask(counters, 'spent', [reserve({ name: 'n0', lte: '2' })]).kind;
  writeSync(1, JSON.stringify({ opened: true, made, detail, atOnce, later, spent }));
  await counters.close();
}
