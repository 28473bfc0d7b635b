/** Closes pools at many points of their start. A worker ended while it loads must not take the process along. */
import { setTimeout as pause } from 'node:timers/promises';
import { createPool } from '../../src/pool/pool.ts';

const POOLS = 60;
for (let i = 0; i < POOLS; i++) {
  const pool = createPool({ lanes: 2, spares: 1 });
  await pause(10 + ((i * 7) % 60));
  await pool.close();
}
process.stdout.write(`closed ${POOLS}\n`);
