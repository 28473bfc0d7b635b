/** Exit codes, signals, and that nothing stays behind. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  assertAllowed,
  assertDenied,
  gone,
  MAIN,
  NODE,
  Peer,
  Scratch,
  server,
  start,
  textOf,
} from './harness.ts';

const POLICY = 'version: "1"\ndefault: allow\n';

const BAD_POLICIES: readonly (readonly [string, string | Buffer, RegExp])[] = [
  ['nothing in it', '', /policy\.yaml/],
  ['no YAML', 'version: "1"\ntools: {', /policy\.yaml:\d+:\d+/],
  ['a misspelt field', 'version: "1"\ndefualt: deny\n', /policy\.yaml:2:1[\s\S]*default/],
  [
    'an unknown operator',
    'version: "1"\ntools:\n  t:\n    rules:\n      - name: r\n        conditions:\n          - {path: args.a, op: gtr, value: 1}\n',
    /policy\.yaml:7:\d+/,
  ],
  [
    'a pattern that does not compile',
    'version: "1"\ntools:\n  t:\n    rules:\n      - name: r\n        conditions:\n          - {path: args.a, op: regex, value: "("}\n',
    /policy\.yaml:7:\d+/,
  ],
  ['a key given twice', 'version: "1"\ndefault: deny\ndefault: allow\n', /policy\.yaml:3:1/],
  [
    'aliases that grow without end',
    `version: "1"\na: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghij'
      .split('')
      .map((k, i) => `${k}: &${k} [${Array(9).fill(`*${'abcdefghi'[i]}`).join(',')}]`)
      .join('\n')}\n`,
    /policy\.yaml/,
  ],
  ['bytes that are not UTF-8', Buffer.from([0x76, 0xff, 0xfe, 0x0a]), /UTF-8/i],
];

describe('the process', () => {
  for (const [what, text, says] of BAD_POLICIES) {
    test(`a policy file with ${what} ends it with 78, and the upstream is never started`, async (t) => {
      const scratch = new Scratch(t);
      writeFileSync(scratch.policyFile, text);
      const marker = join(scratch.folder, 'started');
      const script = `require('fs').writeFileSync(${JSON.stringify(marker)}, '')`;
      const peer = new Peer(scratch.command([NODE, '-e', script]));
      assert.equal((await peer.exit()).code, 78, peer.stderr);
      assert.match(peer.stderr, says);
      assert.equal(existsSync(marker), false, 'the upstream was started');
      assert.deepEqual(peer.seen, []);
    });
  }

  test('a policy file that is not there ends it with 78', async (t) => {
    const scratch = new Scratch(t);
    const peer = new Peer(scratch.command(server.recording('--record', scratch.recordFile)));
    assert.equal((await peer.exit()).code, 78);
    assert.match(peer.stderr, /policy\.yaml/);
    assert.equal(existsSync(scratch.recordFile), false);
  });

  test('a decision log that is the policy file ends it with 78, and the policy stays as it was', async (t) => {
    const scratch = new Scratch(t);
    scratch.writePolicy(POLICY);
    const peer = new Peer(
      scratch.command(server.recording('--record', scratch.recordFile), ['--log', scratch.policyFile]),
    );
    assert.equal((await peer.exit()).code, 78, peer.stderr);
    assert.match(peer.stderr, /name another file/);
    assert.equal(readFileSync(scratch.policyFile, 'utf8'), POLICY);
    assert.deepEqual(scratch.recorded(), []);
  });

  test('a state folder that cannot be made ends it with 78, and the upstream is never started', async (t) => {
    const scratch = new Scratch(t);
    scratch.writePolicy(POLICY);
    const upstream = server.recording('--record', scratch.recordFile);
    // In the first nothing can be made, and the system says so in a way that is easily taken for a missing parent.
    for (const folder of ['/proc/portcullis', join(scratch.policyFile, 'folder')]) {
      const own = ['run', '-c', scratch.policyFile, '--state-dir', folder];
      const peer = new Peer([NODE, MAIN, ...own, '--', ...upstream]);
      t.after(() => peer.child.kill('SIGKILL'));
      assert.equal((await peer.exit()).code, 78, folder);
      assert.match(peer.stderr, /the decision log cannot be opened/);
    }
    assert.equal(existsSync(scratch.recordFile), false, 'the upstream was started');
  });

  test('limits whose folder cannot be made deny, and nothing else does', async (t) => {
    const policy = 'version: "1"\ntools:\n  t:\n    rules: [{name: three, rate_limit: 3/day}]\n';
    const { peer } = await start(t, { policy, flags: ['--state-dir', '/proc/portcullis'] });
    assertDenied(await peer.call('t'), 'state_unavailable');
    assertAllowed(await peer.call('echo'), 'ok echo');
  });

  test('without a worker that can judge it ends with 70, and the upstream is never started', async (t) => {
    const scratch = new Scratch(t);
    scratch.writePolicy(POLICY);
    const preload = join(scratch.folder, 'preload.cjs');
    writeFileSync(
      preload,
      `const threads = require('node:worker_threads');
      threads.Worker = class extends threads.Worker {
        constructor(file, options) {
          if (String(file).includes('piscina')) super('process.exit(3)', { ...options, eval: true });
          else super(file, options);
        }
      };
      require('node:module').syncBuiltinESMExports();`,
    );
    const marker = join(scratch.folder, 'started');
    const script = `require('fs').writeFileSync(${JSON.stringify(marker)}, '')`;
    const command = scratch.command([NODE, '-e', script]);
    const peer = new Peer(command, { NODE_OPTIONS: `--require=${preload}` });
    assert.equal((await peer.exit()).code, 70, peer.stderr);
    assert.match(peer.stderr, /no evaluator worker could be started/);
    assert.equal(existsSync(marker), false, 'the upstream was started');
    assert.deepEqual(peer.seen, []);
  });

  test('wrong usage ends it with 64 and says what is wrong', async (t) => {
    const scratch = new Scratch(t);
    scratch.writePolicy(POLICY);
    const upstream = server.recording('--record', scratch.recordFile);
    const wrong: readonly (readonly string[])[] = [
      [NODE, MAIN, 'run'],
      [NODE, MAIN, 'run', '-c', scratch.policyFile],
      [NODE, MAIN, 'run', '-c', scratch.policyFile, '--no-such-flag', '--', ...upstream],
      scratch.command(upstream, ['--inject', 'echo=explode']),
      scratch.command(upstream, ['--fail-mode', 'ajar']),
      scratch.command(upstream, ['--log-level', 'loud']),
      scratch.command(upstream, ['--lanes', '0']),
      scratch.command(upstream, ['--lanes', '65']),
      scratch.command(upstream, ['--server-name', '']),
      [NODE, MAIN, 'validate'],
    ];
    for (const command of wrong) {
      const peer = new Peer(command);
      peer.end();
      assert.equal((await peer.exit()).code, 64, command.slice(2).join(' '));
      assert.notEqual(peer.stderr, '', command.slice(2).join(' '));
    }
    assert.equal(existsSync(scratch.recordFile), false, 'the upstream was started');
  });

  test('validate ends with 0 for good files and 78 for bad ones, and names every fault', async (t) => {
    const scratch = new Scratch(t);
    scratch.writePolicy(POLICY);
    const good = new Peer([NODE, MAIN, 'validate', scratch.policyFile]);
    assert.equal((await good.exit()).code, 0);
    scratch.writePolicy('version: "1"\ndefualt: deny\ntools:\n  t:\n    ruels: []\n');
    const bad = new Peer([NODE, MAIN, 'validate', scratch.policyFile]);
    assert.equal((await bad.exit()).code, 78);
    const said = [bad.stderr, ...bad.garbage].join('\n');
    assert.match(said, /:2:1/);
    assert.match(said, /:5:5/);
    const json = new Peer([NODE, MAIN, 'validate', '--json', scratch.policyFile]);
    assert.equal((await json.exit()).code, 78);
    const text = [...json.garbage, ...json.seen.map((seen) => seen.text)].join('\n');
    assert.ok(JSON.parse(text), text);
  });

  test('--version and --help end with 0', async () => {
    for (const flag of ['--version', '--help']) {
      const peer = new Peer([NODE, MAIN, flag]);
      assert.equal((await peer.exit()).code, 0, flag);
      assert.ok(peer.garbage.length > 0, flag);
    }
  });

  test('the end of its stdin stops the upstream and ends it with 0', async (t) => {
    const { peer } = await start(t, { policy: POLICY });
    const upstream = Number(textOf(await peer.call('pid')));
    peer.end();
    assert.deepEqual(await peer.exit(), { code: 0, signal: null });
    await gone(upstream);
  });

  test('calls sent before the end of its stdin are still answered', async (t) => {
    const { peer } = await start(t, { policy: POLICY });
    const ids = Array.from({ length: 50 }, () => peer.id);
    peer.write(
      ids
        .map((id) => `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"echo"}}\n`)
        .join(''),
    );
    peer.end();
    assert.equal((await peer.exit()).code, 0);
    for (const id of ids)
      assert.equal(peer.seen.filter(({ message }) => message.id === id).length, 1, `the answer to ${id}`);
  });

  test('SIGTERM takes no further calls, waits for those under way, and ends it with 0', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY });
    const upstream = Number(textOf(await peer.call('pid')));
    const held = peer.id;
    peer.send({ id: held, method: 'tools/call', params: { name: 'hold' } });
    assertAllowed(await peer.call('echo'), 'ok echo');
    peer.child.kill('SIGTERM');
    await peer.said(/stopping/);
    const late = await peer.call('echo', { late: true });
    assert.ok(late.error !== undefined || late.result?.isError === true, JSON.stringify(late));
    process.kill(upstream, 'SIGUSR2');
    assertAllowed(await peer.answer(held), 'held');
    assert.equal((await peer.exit()).code, 0);
    await gone(upstream);
    assert.ok(!scratch.recorded().some((line) => line.includes('"late"')));
  });

  test('a second SIGTERM stops it at once, with the upstream', async (t) => {
    const { peer } = await start(t, { policy: POLICY });
    const upstream = Number(textOf(await peer.call('pid')));
    peer.send({ id: peer.id, method: 'tools/call', params: { name: 'never' } });
    assertAllowed(await peer.call('echo'), 'ok echo');
    peer.child.kill('SIGTERM');
    await peer.said(/stopping/);
    peer.child.kill('SIGTERM');
    assert.equal((await peer.exit()).code, 143);
    await gone(upstream);
  });

  test('killed outright, it takes the upstream with it', async (t) => {
    const { peer } = await start(t, { policy: POLICY });
    const upstream = Number(textOf(await peer.call('pid')));
    peer.child.kill('SIGKILL');
    assert.equal((await peer.exit()).signal, 'SIGKILL');
    await gone(upstream);
  });

  test('an agent that closes its end of stdout does not leave an orphan', async (t) => {
    const { peer } = await start(t, { policy: POLICY });
    const upstream = Number(textOf(await peer.call('pid')));
    peer.child.stdout?.destroy();
    peer.send({
      id: peer.id,
      method: 'tools/call',
      params: { name: 'flood', arguments: { count: 100, bytes: 10_000 } },
    });
    await peer.exit();
    await gone(upstream);
  });

  test('the upstream gets its own environment and working folder from us, and none of our flags', async (t) => {
    const scratch = new Scratch(t);
    scratch.writePolicy(POLICY);
    const script =
      'process.stdout.write(JSON.stringify({jsonrpc:"2.0",method:"notifications/message",params:{data:[process.cwd(),process.env.E2E_MARK,process.argv.slice(2)]}})+"\\n");process.stdin.resume()';
    const peer = new Peer(scratch.command([NODE, '-e', script, 'x', '-c', '--version']), {
      E2E_MARK: 'kept',
    });
    const { message } = await peer.message(
      'what the upstream found',
      (m) => m.method === 'notifications/message',
    );
    assert.deepEqual(message.params?.['data'], [process.cwd(), 'kept', ['-c', '--version']]);
    peer.end();
    await peer.exit();
  });

  test('two runs over one state folder share what the limits of one server allow', async (t) => {
    const { peer, scratch } = await start(t, {
      policy: 'version: "1"\ntools:\n  t:\n    rules: [{name: three, rate_limit: 3/day}]\n',
    });
    assertAllowed(await peer.call('t'), 'ok t');
    assertAllowed(await peer.call('t'), 'ok t');
    const second = new Peer(scratch.command(server.recording()));
    await second.initialize();
    assertAllowed(await second.call('t'), 'ok t');
    assertDenied(await second.call('t'), 'limit_reached');
    assertDenied(await peer.call('t'), 'limit_reached');
    second.end();
    await second.exit();
  });
});
