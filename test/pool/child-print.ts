/** Has workers print, in batches and as they die, and prints one line itself. */
import { idle, rig } from './harness.ts';

const { pool, batch, close } = await rig();
await batch('print', 'ok', 'print', 'throw');
await idle(pool);
await batch('print', 'exit');
await pool.ready();
// The streams of a worker are read in turns of the event loop.
for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
await close();
process.stdout.write('done\n');
