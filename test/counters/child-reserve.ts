/**
 * A process that reserves: `child-reserve DIR SERVER COUNT LIMIT [hold]`. It waits for a line on stdin, reserves COUNT times
 * and prints how many were reserved. `hold`: then it stays until killed, its reservations unsettled.
 */
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { openLmdb, reserve, take } from './stores.ts';

const [dir = '', server = '', count = '1', limit = '1', hold] = process.argv.slice(2);
const store = openLmdb(dir, undefined, server);
writeSync(1, 'ready\n');
await once(process.stdin, 'data');
let reserved = 0;
for (let i = 0; i < Number(count); i++) {
  const outcome = take(store, reserve({ lte: limit }));
  if (outcome.startsWith('unavailable')) throw new Error(outcome);
  if (!outcome.startsWith('call')) continue;
  reserved += 1;
  // Every other call is settled, so that commits are part of the race.
  if (hold === undefined && i % 2 === 0) store.settle(outcome, 'commit');
}
writeSync(1, `${reserved}\n`);
if (hold === undefined) {
  await store.close();
  process.stdin.destroy();
}
