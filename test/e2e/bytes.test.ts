/** What is forwarded is what was judged, byte for byte, in both directions. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertAllowed, start } from './harness.ts';

const POLICY = 'version: "1"\ndefault: deny\ntools:\n  echo:\n    rules: []\n  say:\n    rules: []\n';

/** Each is one line; `ID` stands for a fresh id. */
const FORWARDED: readonly (readonly [string, string])[] = [
  [
    'odd white space',
    '  { "jsonrpc" :\t"2.0" , "id":ID,"method" : "tools/call","params":{"name":"echo" ,"arguments":{ } } }  ',
  ],
  [
    'keys in another order',
    '{"params":{"arguments":{},"name":"echo"},"method":"tools/call","id":ID,"jsonrpc":"2.0"}',
  ],
  [
    'escapes where none are needed',
    '{"jsonrpc":"2.0","id":ID,"method":"tools\\/call","params":{"name":"\\u0065cho","arguments":{"a":"\\u0041\\/\\ud83d\\ude00"}}}',
  ],
  [
    'integers beyond 2^53',
    '{"jsonrpc":"2.0","id":ID,"method":"tools/call","params":{"name":"echo","arguments":{"n":9007199254740993,"m":-123456789012345678901234567890}}}',
  ],
  [
    'numbers in odd spellings',
    '{"jsonrpc":"2.0","id":ID,"method":"tools/call","params":{"name":"echo","arguments":{"n":1.0,"m":1e2,"o":-0,"p":0.10000000000000000001}}}',
  ],
  [
    'unknown fields everywhere',
    '{"jsonrpc":"2.0","id":ID,"method":"tools/call","x":1,"params":{"name":"echo","y":[2],"arguments":{"z":null},"_meta":{"vendor/key":{"deep":[{}]}}}}',
  ],
  [
    'text of many scripts',
    '{"jsonrpc":"2.0","id":ID,"method":"tools/call","params":{"name":"echo","arguments":{"t":"žluťoučký 日本語 🦖 ﷽ é"}}}',
  ],
  [
    'keys that JavaScript finds special',
    '{"jsonrpc":"2.0","id":ID,"method":"tools/call","params":{"name":"echo","arguments":{"__proto__":{"a":1},"constructor":2,"toString":3}}}',
  ],
];

describe('bytes', () => {
  for (const [what, line] of FORWARDED) {
    test(`a call with ${what} reaches the upstream as it was sent`, async (t) => {
      const { peer, scratch } = await start(t, { policy: POLICY });
      const id = peer.id;
      const sent = line.replace('ID', String(id));
      peer.write(`${sent}\n`);
      assertAllowed(await peer.answer(id), 'ok echo');
      assert.equal(
        scratch.recordedCalls().at(-1) ?? scratch.recorded().at(-1),
        Buffer.from(sent, 'utf8').toString('latin1'),
      );
    });
  }

  test('ids come back as they were sent: text, zero, negative, and the largest safe integer', async (t) => {
    const { peer } = await start(t, { policy: POLICY });
    for (const id of ['', 'x', '7', 'ключ', 0, -5, Number.MAX_SAFE_INTEGER]) {
      peer.send({ id, method: 'tools/call', params: { name: 'echo' } });
      assertAllowed(await peer.answer(id), 'ok echo');
    }
  });

  test('what the upstream says reaches the agent as it was said', async (t) => {
    const { peer } = await start(t, { policy: POLICY });
    const lines = [
      '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"n":9007199254740993,"f":1.0,"s":"\\u0041\\/"}}}',
      '  {"method":"notifications/message" , "jsonrpc":"2.0","vendor":[1,2], "params":{"level":"error","logger":"l","data":"日本"}} ',
      '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}',
    ];
    assertAllowed(await peer.call('say', { lines }), 'said');
    for (const line of lines)
      assert.ok(
        peer.seen.some((seen) => seen.text === line),
        `missing: ${line}`,
      );
  });

  test('a call split into single bytes is one call, and many calls in one write are many', async (t) => {
    const { peer, scratch } = await start(t, { policy: POLICY });
    const id = peer.id;
    for (const byte of Buffer.from(
      `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"echo","arguments":{"t":"日本"}}}\n`,
    ))
      peer.write(Uint8Array.of(byte));
    assertAllowed(await peer.answer(id), 'ok echo');
    const ids = Array.from({ length: 300 }, () => peer.id);
    peer.write(
      ids
        .map((one) => `{"jsonrpc":"2.0","id":${one},"method":"tools/call","params":{"name":"echo"}}\n`)
        .join(''),
    );
    for (const one of ids) assertAllowed(await peer.answer(one), 'ok echo');
    assert.equal(scratch.recordedCalls().length, 301);
  });
});
