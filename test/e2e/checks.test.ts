/** Custom checks through the real program: what they decide, and what becomes of those that misbehave. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Message, Peer, Scratch, server } from './harness.ts';

const POLICY = `version: "1"
tools:
  "*": {rules: [{name: checked, check: ./checks/all.mjs, on_deny: Not like this.}]}
`;

const CHECK = `
let calls = 0;
export default ({ args, tool, session }) => {
  calls += 1;
  switch (tool.name) {
    case 'loop': for (;;);
    case 'busy': return (11n ** 400000n).toString().length > 0;
    case 'hoard': { const a = []; for (;;) a.push(new ArrayBuffer(1 << 20)); }
    case 'deep': return JSON.parse('['.repeat(1e5) + ']'.repeat(1e5)) !== null;
    case 'throw': throw new Error('secret ' + args.secret);
    default: return args.n > 5 ? { deny: 'n is above five' } : calls === 1 && session.client.name === 'e2e';
  }
};
`;

describe('custom checks', () => {
  test('decide, and those that loop, hoard, hang or break QuickJS are denied alone', async (t) => {
    const scratch = new Scratch(t);
    scratch.writePolicy(POLICY);
    mkdirSync(join(scratch.folder, 'checks'));
    writeFileSync(join(scratch.folder, 'checks', 'all.mjs'), CHECK);
    const peer = new Peer(scratch.command(server.recording('--record', scratch.recordFile)));
    t.after(() => peer.end());
    await peer.request('initialize', {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'e2e', version: '1' },
    });
    peer.send({ method: 'notifications/initialized' });
    const saidBy = (answer: Message): string =>
      answer.result?.isError === true ? (answer.result.content?.[0]?.text ?? '') : 'passed';
    const call = async (tool: string, args = {}): Promise<string> => saidBy(await peer.call(tool, args));
    for (const [tool, reason] of [
      ['loop', 'evaluation_timeout'],
      ['hoard', 'evaluation_out_of_memory'],
      ['throw', 'evaluation_error'],
      ['deep', 'evaluation_error'],
      ['busy', 'evaluation_timeout'],
    ] as const) {
      const [bad, good, denied] = await Promise.all([
        call(tool, { secret: 'hunter2' }),
        call('fine', { n: 1 }),
        call('fine', { n: 6 }),
      ]);
      assert.match(
        bad ?? '',
        new RegExp(`^\\[PORTCULLIS DENIED\\] Not like this\\.[\\s\\S]*\\(${reason}, decision`),
        tool,
      );
      assert.doesNotMatch(bad ?? '', /hunter2/);
      assert.equal(good, 'passed', tool);
      assert.match(denied ?? '', /n is above five[\s\S]*rule_denied/);
      assert.equal(await call('fine', { n: 2 }), 'passed', `after ${tool}`);
    }
    // The worker was gone when this was asked for: the rule is read from the cell it left.
    const lost = scratch.decisions().find(({ tool }) => tool === 'busy');
    assert.deepEqual(lost?.['rule'], { tool: '*', name: 'checked', index: 0, part: 'check' });
    assert.ok(scratch.recordedCalls().every((line) => line.includes('"fine"')));
  });

  test('are reloaded when their code changes, and a policy without its check does not start', async (t) => {
    const scratch = new Scratch(t);
    scratch.writePolicy(POLICY);
    const peer = new Peer(scratch.command(server.recording('--record', scratch.recordFile)));
    assert.equal((await peer.exit()).code, 78, peer.stderr);
    assert.match(peer.stderr, /bad_check[\s\S]*checks\/all\.mjs/);
    mkdirSync(join(scratch.folder, 'checks'));
    const file = join(scratch.folder, 'checks', 'all.mjs');
    writeFileSync(file, 'export default () => true;');
    const second = new Peer(scratch.command(server.recording('--record', scratch.recordFile)));
    t.after(() => second.end());
    await second.request('initialize', {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'e2e', version: '1' },
    });
    second.send({ method: 'notifications/initialized' });
    assert.notEqual((await second.call('fine')).result?.isError, true);
    writeFileSync(file, 'export default () => ({ deny: "changed" });');
    await second.said(/policy reloaded/);
    assert.match((await second.call('fine')).result?.content?.[0]?.text ?? '', /changed/);
  });
});
