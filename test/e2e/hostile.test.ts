/**
 * Input made to be read one way here and another way behind. Each entry of the table must leave no trace upstream, be
 * refused with exactly one answer, and leave the session able to do the next good call.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertAllowed, type Message, start } from './harness.ts';

const POLICY = `version: "1"
default: deny
hide: [secret]
tools:
  echo:
    rules: []
  never:
    rules: []
  pay:
    rules:
      - name: small
        conditions:
          - path: args.amount
            op: lte
            value: 100
`;
const recording = ['--tools', 'echo,never,pay,secret'];

const call = (params: string, id = '"h"'): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":${params}}`;
const bytes = (...parts: readonly (string | readonly number[])[]): Buffer =>
  Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'utf8') : Buffer.from(part))),
  );

const HOSTILE: readonly (readonly [string, string | Buffer])[] = [
  // one key, two readings
  ['a name given twice', call('{"name":"echo","name":"secret"}')],
  ['a name given twice, once in escapes', call('{"name":"echo","n\\u0061me":"secret"}')],
  [
    'params given twice',
    '{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"echo"},"params":{"name":"secret"}}',
  ],
  [
    'a method given twice',
    '{"jsonrpc":"2.0","id":"h","method":"ping","method":"tools/call","params":{"name":"secret"}}',
  ],
  ['an id given twice', '{"jsonrpc":"2.0","id":"h","id":"i","method":"tools/call","params":{"name":"echo"}}'],
  ['arguments given twice', call('{"name":"pay","arguments":{"amount":1},"arguments":{"amount":999}}')],
  ['an argument given twice', call('{"name":"pay","arguments":{"amount":1,"amount":999}}')],
  ['a key deep in the arguments given twice', call('{"name":"echo","arguments":{"a":[{"b":1,"b":2}]}}')],
  // look-alike protocol keys
  ['Name beside name', call('{"name":"echo","Name":"secret"}')],
  ['NAME alone', call('{"NAME":"secret"}')],
  ['Arguments beside arguments', call('{"name":"pay","arguments":{"amount":1},"Arguments":{"amount":999}}')],
  ['argumentſ with a long s', call('{"name":"pay","arguments":{"amount":1},"argumentſ":{"amount":999}}')],
  [
    'Params beside params',
    '{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"echo"},"Params":{"name":"secret"}}',
  ],
  [
    'Method beside method',
    '{"jsonrpc":"2.0","id":"h","method":"ping","Method":"tools/call","params":{"name":"secret"}}',
  ],
  ['METHOD alone', '{"jsonrpc":"2.0","id":"h","METHOD":"tools/call","params":{"name":"secret"}}'],
  // arguments that a server may read whatever their case
  ['Amount beside a ruled amount', call('{"name":"pay","arguments":{"amount":1,"Amount":999}}')],
  [
    'a ruled amount with a zero-width mark',
    call('{"name":"pay","arguments":{"amount":1,"amoun\u200bt":999}}'),
  ],
  // encodings
  ['a byte order mark', bytes([0xef, 0xbb, 0xbf], call('{"name":"echo"}'))],
  ['UTF-16', Buffer.from(call('{"name":"echo"}'), 'utf16le')],
  [
    'invalid UTF-8 in an argument',
    bytes(
      '{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"echo","arguments":{"t":"',
      [0xff, 0xfe],
      '"}}}',
    ),
  ],
  [
    'an overlong encoding',
    bytes('{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"ech', [0xc1, 0xaf], '"}}'),
  ],
  [
    'a surrogate encoded in UTF-8',
    bytes(
      '{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"echo","arguments":{"t":"',
      [0xed, 0xa0, 0x80],
      '"}}}',
    ),
  ],
  [
    'a cut-off character',
    bytes(
      '{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"echo","arguments":{"t":"',
      [0xe2, 0x82],
      '"}}}',
    ),
  ],
  // line ends that others see
  [
    'a bare carriage return between two messages',
    `{"jsonrpc":"2.0","id":"h","method":"ping"}\r${call('{"name":"secret"}')}`,
  ],
  [
    'a bare carriage return as white space',
    '{"jsonrpc":"2.0","id":"h",\r"method":"tools/call","params":{"name":"echo"}}',
  ],
  ['a raw control character in a string', call('{"name":"echo","arguments":{"t":"a\u0001b"}}')],
  ['a NUL in a string', call('{"name":"echo","arguments":{"t":"a\u0000b"}}')],
  ['a NUL behind the message', `${call('{"name":"echo"}')}\u0000`],
  // not one JSON object
  ['no JSON', 'hello'],
  ['half a message', '{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"echo"'],
  ['two messages on one line', `${call('{"name":"echo"}')}${call('{"name":"secret"}')}`],
  ['a trailing comma', call('{"name":"echo",}')],
  ['a comment', call('{"name":"echo"/*,"name":"secret"*/}')],
  ['single quotes', call("{'name':'echo'}")],
  ['NaN', call('{"name":"pay","arguments":{"amount":NaN}}')],
  ['a number with a leading zero', call('{"name":"pay","arguments":{"amount":010}}')],
  ['a bare string', '"tools/call"'],
  ['null', 'null'],
  ['a batch of one', `[${call('{"name":"echo"}')}]`],
  ['an empty batch', '[]'],
  [
    'nesting 50,000 deep',
    call(`{"name":"echo","arguments":{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}}`),
  ],
  ['nesting 50,000 deep that never closes', '{"a":'.repeat(50_000)],
  // ids
  ['an id of null', call('{"name":"echo"}', 'null')],
  ['a fractional id', call('{"name":"echo"}', '1.5')],
  ['an id beyond 2^53', call('{"name":"echo"}', '9007199254740993')],
  ['an id beyond all doubles', call('{"name":"echo"}', '1e400')],
  ['a boolean id', call('{"name":"echo"}', 'true')],
  ['an object as id', call('{"name":"echo"}', '{"a":1}')],
  // shapes
  ['no jsonrpc', '{"id":"h","method":"tools/call","params":{"name":"echo"}}'],
  ['jsonrpc 1.0', '{"jsonrpc":"1.0","id":"h","method":"tools/call","params":{"name":"echo"}}'],
  ['params by position', call('["echo",{}]')],
  ['no params', '{"jsonrpc":"2.0","id":"h","method":"tools/call"}'],
  ['no name', call('{"arguments":{}}')],
  ['an empty name', call('{"name":""}')],
  ['a number as name', call('{"name":7}')],
  ['a list as name', call('{"name":["echo"]}')],
  ['arguments of null', call('{"name":"echo","arguments":null}')],
  ['arguments as text', call('{"name":"echo","arguments":"{}"}')],
  ['arguments as a list', call('{"name":"echo","arguments":[]}')],
  [
    'a method and a result at once',
    '{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"echo"},"result":{}}',
  ],
  // methods
  ['a method in another case', '{"jsonrpc":"2.0","id":"h","method":"Tools/Call","params":{"name":"secret"}}'],
  [
    'a method with a space behind it',
    '{"jsonrpc":"2.0","id":"h","method":"tools/call ","params":{"name":"secret"}}',
  ],
  [
    'a method that no revision defines',
    '{"jsonrpc":"2.0","id":"h","method":"tools/execute","params":{"name":"secret"}}',
  ],
  [
    'a method that is no text',
    '{"jsonrpc":"2.0","id":"h","method":["tools/call"],"params":{"name":"secret"}}',
  ],
  // tool names that somebody may fold
  ['a ruled name in another case', call('{"name":"ECHO"}')],
  ['a hidden name in another case', call('{"name":"Secret"}')],
  ['a hidden name with a space', call('{"name":"secret "}')],
  ['a hidden name with a zero-width mark', call('{"name":"sec\u200bret"}')],
  ['a hidden name in full-width letters', call('{"name":"ｓｅｃｒｅｔ"}')],
  ['a name with a NUL in it', call('{"name":"echo\\u0000"}')],
  ['a name that is half a surrogate pair', call('{"name":"\\ud800"}')],
  ['the wildcard as a name', call('{"name":"*"}')],
];

/** A JSON-RPC error or a denied result: in both the call was not made, and says so. */
function isRefusal(message: Message): boolean {
  return message.error !== undefined || message.result?.isError === true;
}

describe('hostile input', () => {
  test('each leaves no trace upstream, has one refusal, and the next good call works', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, recording });
    const untouched = scratch.recorded().length;
    const failures: string[] = [];
    let good = 0;
    for (const [what, line] of HOSTILE) {
      const before = peer.seen.length;
      const calls = scratch.recordedCalls().length;
      peer.write(line);
      peer.write('\n');
      const id = peer.id;
      peer.send({ id, method: 'tools/call', params: { name: 'echo' } });
      assertAllowed(await peer.answer(id), 'ok echo');
      good += 1;
      const ping = peer.id;
      try {
        await peer.until('its refusal', () =>
          peer.seen.slice(before).some(({ message }) => message.id !== id),
        );
        // Nothing else is on its way: a ping sent now is answered behind it.
        peer.send({ id: ping, method: 'ping' });
        await peer.answer(ping);
        const others = peer.seen
          .slice(before)
          .filter(({ message }) => message.id !== id && message.id !== ping);
        if (others.length !== 1 || !others.every(({ message }) => isRefusal(message)))
          failures.push(
            `${what}: answered with ${JSON.stringify(others.map(({ text }) => text.slice(0, 200)))}`,
          );
      } catch (error) {
        failures.push(`${what}: ${error instanceof Error ? error.message.slice(0, 300) : String(error)}`);
      }
      const reached = scratch.recordedCalls().slice(calls);
      if (reached.length !== 1)
        failures.push(`${what}: reached the upstream: ${JSON.stringify(reached).slice(0, 300)}`);
    }
    assert.deepEqual(failures, []);
    // Pings and the end of the handshake apart, the upstream saw the good calls and not one line more.
    const lines = scratch.recorded().slice(untouched);
    const others = lines.filter(
      (line) => !line.includes('"ping"') && !line.includes('notifications/initialized'),
    );
    assert.equal(others.length, good);
  });

  test('a line beyond the size cap is refused unread, whatever comes in it', async (t) => {
    const { peer, scratch } = await start(t, {
      policy: POLICY,
      recording,
      flags: ['--max-message-bytes', '65536'],
    });
    peer.write(call(`{"name":"echo","arguments":{"t":"${'x'.repeat(1 << 20)}"}}`));
    peer.write('\n');
    await peer.message('the error for the long line', (m) => m.error !== undefined && m.id === null);
    assertAllowed(await peer.call('echo', { t: 'x'.repeat(60_000) }), 'ok echo');
    assert.equal(scratch.recordedCalls().length, 1);
  });

  test('an id that is still in flight is refused a second time, and the first keeps its one answer', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, recording });
    peer.write(`${call('{"name":"never"}', '77')}\n`);
    peer.write(`${call('{"name":"pay","arguments":{"amount":1}}', '77')}\n`);
    const refusal = await peer.message(
      'the refusal',
      (m) => m.id === 77 || (m.id === null && m.error !== undefined),
    );
    assert.ok(isRefusal(refusal.message), refusal.text);
    assertAllowed(await peer.call('echo'), 'ok echo');
    assert.equal(scratch.recordedCalls().filter((line) => line.includes('"pay"')).length, 0);
    assert.equal(peer.seen.filter(({ message }) => message.id === 77 || message.id === null).length, 1);
  });

  test('our own request to the server carries an id that the agent cannot know beforehand', async (t) => {
    const { peer, scratch } = await start(t, {
      policy: 'version: "1"\ntools: {deny: {rules: [{name: r, action: deny}]}}\n',
      recording,
    });
    const denial = JSON.stringify(await peer.call('deny'));
    const [, prefix, count] = /decision (\w+)-(\d+)\)/.exec(denial) ?? [];
    assert.ok(prefix);
    // Each of these takes one of our numbers itself, so the first of them names the next one free.
    for (let i = 1; i <= 20; i++) {
      const id = `portcullis-${prefix}-${Number(count) + 20 + i}`;
      peer.send({ id, method: 'tools/call', params: { name: 'never' } });
    }
    // A name that only the server's own list could vouch for makes us ask for that list.
    await peer.call('a/b');
    const ids = scratch.recorded().map((line) => (JSON.parse(line) as Message).id);
    const asked = ids.filter((id) => id !== undefined);
    assert.ok(scratch.recorded().some((line) => line.includes('tools/list')));
    assert.equal(new Set(asked).size, asked.length, 'two requests reached the server under one id');
  });

  test('a message without a line feed at the end of the input is not half a call', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY, recording });
    peer.write('{"jsonrpc":"2.0","id":"h","method":"tools/call","params":{"name":"echo"');
    peer.end();
    assert.deepEqual(await peer.exit(), { code: 0, signal: null });
    assert.deepEqual(scratch.recordedCalls(), []);
  });

  test('twenty thousand lines of nonsense leave the session working and the process small', async (t) => {
    const { peer } = await start(t, { policy: POLICY, recording });
    peer.write(Buffer.alloc(20_000, '{\n'));
    assertAllowed(await peer.call('echo'), 'ok echo');
  });
});
