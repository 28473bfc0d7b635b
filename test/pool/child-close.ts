/** Uses a pool in every way that makes it hold something, closes it with work under way, and tells what is left. */
import { encode, rig, waiting } from './harness.ts';

const emitters = { process, stdout: process.stdout, stderr: process.stderr };
const before = process.getActiveResourcesInfo();
const count = (): string[] =>
  Object.entries(emitters).flatMap(([name, emitter]) =>
    emitter.eventNames().map((event) => `${name} ${String(event)} ${emitter.listenerCount(event)}`),
  );
const { pool, batch, cells, handle, submit } = await rig();
const listeners = count();
await batch('ok', 'exit', 'throw', 'large', 'ok');
await pool.ready();
const underWay = submit({ n: 1, do: 'wait' });
const behind = submit({ n: 2, do: 'ok' });
await waiting(cells, 1);
let answered = 0;
const done = (): void => {
  answered += 1;
};
pool.submit({ kind: 'judge', bytes: encode({ n: 3, do: 'ok' }), policy: handle, session: 's', done });
const readied = pool.ready();
await pool.close();
await Promise.all([underWay, behind, readied]);
if (answered !== 1) throw new Error(`${answered} outcomes of one job`);
const resources = process.getActiveResourcesInfo();
for (const resource of before) {
  const at = resources.indexOf(resource);
  if (at >= 0) resources.splice(at, 1);
}
const grown = count().filter((line) => !listeners.includes(line));
process.stdout.write(JSON.stringify({ resources, listeners: grown }));
