/**
 * Which steps of QuickJS' own no interrupt reaches, as docs/checks.md says: they would go on for hours, and only the
 * end of their thread, which is what a lane's deadline brings, ends them. Beside them steps that seem alike and are reached.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';

/** Many times what the check may take. A slow machine makes what is asserted no less true. */
const PATIENCE_MS = 250;

async function begin(source: string): Promise<Worker> {
  const worker = new Worker(new URL('./fixtures/run-check.js', import.meta.url), { workerData: source });
  assert.deepEqual(await once(worker, 'message'), ['begins']);
  return worker;
}

describe('a step that QuickJS does not leave', () => {
  for (const [what, body] of [
    ['a long text looked for in another', `'a'.repeat(4e6).indexOf('a'.repeat(2e6) + 'b') < 0`],
    ['a method over billions of entries', `Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1) < 0`],
    ['a search backwards in an empty list', `new Array(4e9).lastIndexOf(1) < 0`],
  ] as const) {
    test(`ends with its thread: ${what}`, async () => {
      const worker = await begin(`export default () => ${body}`);
      const outcome = await Promise.race([
        once(worker, 'message'),
        new Promise((done) => setTimeout(done, PATIENCE_MS, 'goes on')),
      ]);
      const [[code]] = await Promise.all([once(worker, 'exit'), worker.terminate()]);
      assert.equal(outcome, 'goes on');
      assert.equal(code, 1);
    });
  }
});

describe('a step that seems alike and is interrupted', () => {
  for (const [what, body] of [
    ['a pattern without end', `/(a+)+$/.test('a'.repeat(60) + '!')`],
    ['a sort whose comparison never ends', `[2, 1].sort(() => { for (;;); }).length > 0`],
    ['an iterator without end', `[...(function* () { for (;;); })()].length > 0`],
    ['a loop in a getter', `({ get x() { for (;;); } }).x`],
  ] as const) {
    test(`ends with its call: ${what}`, async () => {
      const worker = await begin(`export default () => ${body}`);
      assert.deepEqual(await once(worker, 'message'), ['timeout']);
      await worker.terminate();
    });
  }
});
