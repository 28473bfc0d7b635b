/** What a lane says of a message, without the lane around it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Verdict } from '../../src/decision/verdict.ts';
import type { JobKind } from '../../src/gate/ports.ts';
import { createJudge } from '../../workers/judge.ts';
import { programOf } from '../policy/policies.ts';

const PROGRAM = programOf('version: "1"\nhide: [secret]\ntools: {echo: {rules: []}}\n');
const trusted = (): boolean => false;

function ask(kind: JobKind, handle: number, tool: string): Verdict {
  const judge = createJudge();
  judge.load(1, PROGRAM, {});
  const text = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":${JSON.stringify(tool)}}}`;
  return judge.judge(kind, Buffer.from(text), handle, trusted, new Int32Array(2)) as Verdict;
}

describe('a call that is read to know whom to answer', () => {
  test('has no ruling, whatever the policy says of it', () => {
    for (const tool of ['echo', 'secret', 'other'])
      assert.deepEqual(ask('read', 1, tool), { kind: 'call', id: '1', tool }, tool);
  });

  test('is malformed where its name is a look-alike', () => {
    assert.equal(ask('read', 1, 'Secret').kind, 'malformed');
  });

  // The fail mode `open` would let it through: only the server's own list, which hides look-alikes, may vouch for it.
  test('is not taken at its name once the policy that knew the look-alikes went', () => {
    for (const tool of ['Secret', 'echo'])
      assert.deepEqual(ask('read', 0, tool), { kind: 'call', id: '1', tool, unusualName: true }, tool);
  });
});

test('a policy that is not there judges nothing', () => {
  assert.throws(() => ask('judge', 0, 'echo'), /no policy/);
  assert.throws(() => ask('read', 2, 'echo'), /no policy/);
});
