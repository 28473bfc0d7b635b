/** The operational log is a help and no condition: whoever reads it, or does not, calls go on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAllowed, eventually, type Peer, server, start } from './harness.ts';

const POLICY = 'version: "1"\ndefault: allow\n';

/** Each is worth a line of the log. */
function forge(peer: Peer, count: number): void {
  for (let i = 0; i < count; i++) peer.write(`{"jsonrpc":"2.0","id":"forged-${i}","result":{}}\n`);
}

test('a host that never reads stderr holds up no call, whatever the agent has the log say', async (t) => {
  const { peer } = await start(t, { policy: POLICY });
  peer.child.stderr?.pause();
  forge(peer, 8_000);
  assertAllowed(await peer.call('echo'), 'ok echo');
  peer.child.stderr?.resume();
  await eventually('a line that says what is missing', async () => {
    forge(peer, 1);
    await peer.call('echo');
    return /"dropped":\d+/.test(peer.stderr);
  });
});

test('a host that never reads stderr can still end the run', async (t) => {
  const { peer } = await start(t, { policy: POLICY });
  peer.child.stderr?.pause();
  forge(peer, 8_000);
  assertAllowed(await peer.call('echo'), 'ok echo');
  peer.end();
  await new Promise((resolve) => {
    peer.child.once('exit', resolve);
  });
  peer.child.stderr?.resume();
  assert.deepEqual(await peer.exit(), { code: 0, signal: null });
});

test('a host that closed stderr holds up neither calls nor a server that goes on writing to its own', async (t) => {
  const { peer } = await start(t, { policy: POLICY });
  peer.child.stderr?.destroy();
  forge(peer, 10);
  assertAllowed(await peer.call('chatter', { bytes: 1 << 20 }), 'chattered');
  assertAllowed(await peer.call('echo'), 'ok echo');
  peer.end();
  assert.deepEqual(await peer.exit(), { code: 0, signal: null });
});

test('what the server says on its stderr stands on ours, its last words too', async (t) => {
  const { peer } = await start(t, { policy: POLICY, upstream: server.diesAtStart, initialize: false });
  assert.equal((await peer.exit()).code, 69);
  assert.match(peer.stderr, /dies-at-start: no licence found\n/);
});
