/** An upstream that dies, stalls, floods, writes nonsense or does not read: each call has one answer and memory stays bounded. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { assertAllowed, gone, server, start, textOf } from './harness.ts';

const POLICY = 'version: "1"\ndefault: allow\n';
const HAS_PROC = existsSync('/proc/self/io');
const MIB = 1024;

const statusKiB = (pid: number, name: string): number =>
  Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
const bytesRead = (pid: number): number =>
  Number(/^rchar: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);

/** Waits until the process has stopped taking input. Too early is no fault: it makes the test easier, not false. */
async function standsStill(pid: number): Promise<void> {
  let before = -1;
  for (let quiet = 0; quiet < 10; ) {
    await pause(50);
    const now = bytesRead(pid);
    quiet = now === before ? quiet + 1 : 0;
    before = now;
  }
}

describe('an upstream', () => {
  test('that is gone before it answers ends the run with 69, and the waiting agent is told', async (t) => {
    const { peer } = await start(t, { policy: POLICY, upstream: server.diesAtStart, initialize: false });
    peer.send({
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'e', version: '1' } },
    });
    const { code } = await peer.exit();
    assert.equal(code, 69);
    assert.match(peer.stderr, /no licence found/);
    assert.match(peer.stderr, /exited with code 3/);
  });

  test('that cannot be started ends the run with 69, naming the command', async (t) => {
    const { peer } = await start(t, {
      policy: POLICY,
      upstream: ['no-such-command-anywhere', 'x'],
      initialize: false,
    });
    assert.equal((await peer.exit()).code, 69);
    assert.match(peer.stderr, /no-such-command-anywhere/);
  });

  test('that dies in the middle of calls leaves each of them answered, and later ones too', async (t) => {
    const { peer } = await start(t, { policy: POLICY });
    const pending = [peer.id, peer.id, peer.id];
    for (const id of pending) peer.send({ id, method: 'tools/call', params: { name: 'never' } });
    const deadly = peer.id;
    peer.send({ id: deadly, method: 'tools/call', params: { name: 'die' } });
    for (const id of [...pending, deadly]) {
      const answer = await peer.answer(id);
      assert.ok(answer.error, JSON.stringify(answer));
      assert.match(JSON.stringify(answer.error), /upstream_unavailable/);
    }
    const later = await peer.call('echo');
    assert.match(JSON.stringify(later), /upstream_unavailable/);
    peer.end();
    assert.equal((await peer.exit()).code, 69);
    for (const id of [...pending, deadly])
      assert.equal(peer.seen.filter(({ message }) => message.id === id).length, 1);
  });

  test('that never answers has its deadline, and is told that nobody waits any more', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, flags: ['--upstream-timeout', '300'] });
    const answer = await peer.call('never');
    assert.match(JSON.stringify(answer.error), /upstream_timeout/);
    assertAllowed(await peer.call('echo'), 'ok echo');
    assert.equal(scratch.recorded().filter((line) => line.includes('notifications/cancelled')).length, 1);
  });

  test('that writes nonsense is not believed, and its good answers still arrive', async (t) => {
    const { peer } = await start(t, { policy: POLICY, flags: ['--max-message-bytes', '100000'] });
    const nonsense = [
      'Listening on port 3000…',
      '{"jsonrpc":"2.0","id":',
      '[]',
      'null',
      '{"jsonrpc":"2.0","id":424242,"result":{"content":[{"type":"text","text":"nobody asked"}]}}',
      '{"jsonrpc":"2.0","id":"server-x","id":"server-y","result":{}}',
      '{}',
      '[['.repeat(30_000),
      'x'.repeat(300_000),
    ];
    // The request itself must stay below the cap, so the long ones are asked for apart.
    for (const line of nonsense.filter((one) => one.length < 80_000))
      assertAllowed(await peer.call('say', { lines: [line] }), 'said');
    assertAllowed(await peer.call('echo'), 'ok echo');
    assert.deepEqual(peer.garbage, []);
    assert.ok(!peer.seen.some(({ text }) => text.includes('nobody asked')));
    for (const { message, text } of peer.seen) assert.equal(message.jsonrpc, '2.0', text.slice(0, 200));
  });

  test('that writes invalid UTF-8 or half characters does not confuse the agent', async (t) => {
    const { peer } = await start(t, { policy: POLICY });
    const bad = Buffer.concat([
      Buffer.from('{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"'),
      Buffer.from([0xff, 0xc3]),
      Buffer.from('"}}\n'),
    ]);
    assertAllowed(await peer.call('say_bytes', { base64: bad.toString('base64') }), 'said');
    assert.ok(!peer.seen.some(({ text }) => text.includes('\ufffd')));
  });

  test('that floods an agent which does not read is held back: memory stays bounded, nothing is lost', {
    skip: !HAS_PROC,
  }, async (t) => {
    const { peer } = await start(t, { policy: POLICY });
    await peer.call('echo');
    const before = statusKiB(peer.pid, 'VmRSS');
    peer.child.stdout?.pause();
    const id = peer.id;
    peer.send({
      id,
      method: 'tools/call',
      params: { name: 'flood', arguments: { count: 8000, bytes: 10_000 } },
    });
    await standsStill(peer.pid);
    const grown = statusKiB(peer.pid, 'VmHWM') - before;
    peer.child.stdout?.resume();
    assert.equal(textOf(await peer.answer(id)), 'flooded 8000');
    const numbers = peer.seen
      .filter(({ message }) => message.method === 'notifications/message')
      .map(({ message }) => ((message.params?.['data'] ?? {}) as { n?: number }).n);
    assert.deepEqual(
      numbers,
      Array.from({ length: 8000 }, (_, n) => n + 1),
    );
    assert.ok(grown < 60 * MIB, `80 MB were sent; memory grew by ${Math.round(grown / MIB)} MiB`);
  });

  test('that does not read holds the agent back: memory stays bounded, nothing is lost', {
    skip: !HAS_PROC,
  }, async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY });
    const upstream = Number(textOf(await peer.call('pid')));
    await peer.call('stop_reading');
    const before = statusKiB(peer.pid, 'VmRSS');
    const filler = 'x'.repeat(10_000);
    const ids = Array.from({ length: 8000 }, () => peer.id);
    for (const id of ids)
      peer.send({ id, method: 'tools/call', params: { name: 'echo', arguments: { filler } } });
    await standsStill(peer.pid);
    const grown = statusKiB(peer.pid, 'VmHWM') - before;
    process.kill(upstream, 'SIGUSR2');
    for (const id of ids) assertAllowed(await peer.answer(id), 'ok echo');
    assert.equal(scratch.recordedCalls().length, ids.length + 2);
    assert.ok(grown < 60 * MIB, `80 MB were sent; memory grew by ${Math.round(grown / MIB)} MiB`);
  });

  test('that heeds neither its stdin nor SIGTERM is killed with what it started', async (t) => {
    const { peer } = await start(t, { policy: POLICY, upstream: server.stubborn });
    const pids = textOf(await peer.call('pids'))
      .split(' ')
      .map(Number);
    assert.equal(pids.length, 2);
    peer.end();
    assert.equal((await peer.exit()).code, 0);
    for (const pid of pids) await gone(pid);
  });
});
