import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readAgentMessage } from '../../src/mcp/read-agent-message.ts';

const read = (text: string | Uint8Array) => readAgentMessage(Buffer.from(text as string), {});
const call = (params: string, id = '1') =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":${params}}`;

describe('a tool call', () => {
  test('is read with its id, tool, arguments, task and token', () => {
    const reading = read(
      call('{"name":"pay","arguments":{"a":1},"task":{"ttl":5},"_meta":{"progressToken":"t"}}', '"x"'),
    );
    assert.equal(reading.kind, 'call');
    if (reading.kind !== 'call') return;
    const { args, ...rest } = reading;
    assert.deepEqual(rest, { kind: 'call', id: '"x"', tool: 'pay', task: true, progressToken: '"t"' });
    assert.deepEqual({ ...args }, { a: 1 });
  });

  test('without an id is a call that nobody answers', () => {
    const reading = read('{"jsonrpc":"2.0","method":"tools/call","params":{"name":"pay"}}');
    assert.ok(reading.kind === 'call' && reading.id === null);
  });

  test('of the stateless revision carries its metadata through', () => {
    const meta =
      '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}';
    assert.equal(read(call(`{"name":"a","arguments":{},${meta}}`)).kind, 'call');
  });
});

/** Every one must come out malformed; `id`: what its sender is told under. */
const MALFORMED: readonly (readonly [string, string | Uint8Array, string | null | undefined])[] = [
  ['a batch', `[${call('{"name":"a"}')}]`, null],
  ['a number', '5', null],
  ['cut off', '{"jsonrpc":"2.0","id":1', null],
  ['another version', '{"jsonrpc":"1.0","id":1,"method":"ping"}', '1'],
  ['no version', '{"id":1,"method":"ping"}', '1'],
  ['an id twice', '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', null],
  ['an id of null', '{"jsonrpc":"2.0","id":null,"method":"ping"}', null],
  ['an id with a fraction', '{"jsonrpc":"2.0","id":1.0,"method":"ping"}', null],
  ['an id with an exponent', '{"jsonrpc":"2.0","id":1e2,"method":"ping"}', null],
  ['an id of minus zero', '{"jsonrpc":"2.0","id":-0,"method":"ping"}', null],
  ['an id beyond exact numbers', '{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}', null],
  ['an id that is a list', '{"jsonrpc":"2.0","id":[1],"method":"ping"}', null],
  ['an id without end', `{"jsonrpc":"2.0","id":"${'x'.repeat(1025)}","method":"ping"}`, null],
  ['a method twice', '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', null],
  ['a method in capitals beside it', '{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}', null],
  ['a method in capitals instead', '{"jsonrpc":"2.0","id":1,"METHOD":"tools/call"}', null],
  ['params with a long s', '{"jsonrpc":"2.0","id":1,"method":"tools/call","param\u017f":{"name":"a"}}', null],
  ['a method with a zero-width mark', '{"jsonrpc":"2.0","id":1,"meth\u200bod":"ping","method":"ping"}', null],
  ['a method in full-width letters', '{"jsonrpc":"2.0","id":1,"\uff4dethod":"ping","method":"ping"}', null],
  ['a request and an answer at once', '{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}', '1'],
  ['an answer of two kinds', '{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', undefined],
  ['an answer without an id', '{"jsonrpc":"2.0","result":{}}', undefined],
  ['a result that is no object', '{"jsonrpc":"2.0","id":1,"result":5}', undefined],
  ['params that are a list', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["a"]}', '1'],
  ['params of null', '{"jsonrpc":"2.0","id":1,"method":"ping","params":null}', '1'],
  ['a call without params', '{"jsonrpc":"2.0","id":1,"method":"tools/call"}', '1'],
  ['a call without a name', call('{"arguments":{}}'), '1'],
  ['a name that is empty', call('{"name":""}'), '1'],
  ['a name that is a number', call('{"name":5}'), '1'],
  ['a name twice', call('{"name":"a","name":"b"}'), null],
  ['Name beside name', call('{"name":"a","Name":"b"}'), '1'],
  ['NAME instead of name', call('{"NAME":"b"}'), '1'],
  ['arguments with a long s', call('{"name":"a","argument\u017f":{}}'), '1'],
  ['arguments with the Kelvin sign', call('{"name":"a","tas\u212a":{}}'), '1'],
  ['arguments that are a list', call('{"name":"a","arguments":[1]}'), '1'],
  ['arguments of null', call('{"name":"a","arguments":null}'), '1'],
  ['arguments as text', call('{"name":"a","arguments":"{}"}'), '1'],
  ['an argument twice', call('{"name":"a","arguments":{"x":1,"\\u0078":2}}'), null],
  ['a task that is true', call('{"name":"a","task":true}'), '1'],
  ['metadata that is a list', call('{"name":"a","_meta":[]}'), '1'],
  ['a token that is a fraction', call('{"name":"a","_meta":{"progressToken":1.5}}'), '1'],
  ['a token in capitals', call('{"name":"a","_meta":{"ProgressToken":1}}'), '1'],
  ['a request without an id', '{"jsonrpc":"2.0","method":"tools/list"}', undefined],
  ['a notification with an id', '{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}', '1'],
  [
    'a cancellation of nothing',
    '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}',
    undefined,
  ],
  ['progress without a token', '{"jsonrpc":"2.0","method":"notifications/progress","params":{}}', undefined],
];

describe('a malformed message', () => {
  for (const [what, text, id] of MALFORMED)
    test(`${what} is told to whom it can be`, () => {
      const reading = read(text);
      assert.ok(reading.kind === 'malformed', JSON.stringify(reading));
      assert.equal(reading.reason, 'malformed_message');
      assert.equal(reading.id, id);
      assert.doesNotMatch(reading.message, /undefined/);
    });

  test('never holds a value of the call', () => {
    for (const params of [
      '{"name":"a","arguments":"s3cret"}',
      '{"name":5,"arguments":{"p":"s3cret"}}',
      '{"name":"a","arguments":{"s3cret":1,"s3cret":2}}',
    ])
      assert.doesNotMatch(JSON.stringify(read(call(params))), /s3cret/);
  });
});

describe('a method', () => {
  test('that no revision defines is unknown, under its id or under none', () => {
    for (const method of [
      'tools/Call',
      'Tools/call',
      'tools/call ',
      'tools//call',
      'rpc.discover',
      'tools/call\\u0000',
      '',
    ]) {
      const reading = read(`{"jsonrpc":"2.0","id":1,"method":"${method}"}`);
      assert.ok(
        reading.kind === 'malformed' && reading.reason === 'unknown_method' && reading.code === -32601,
        method,
      );
      assert.equal(reading.id, '1');
      const notification = read(`{"jsonrpc":"2.0","method":"${method}"}`);
      assert.ok(notification.kind === 'malformed' && notification.id === undefined);
    }
  });

  test('that the operator names passes, as a request and as a notification', () => {
    const limits = { extraMethods: new Set(['vendor/do']) };
    assert.equal(
      readAgentMessage(Buffer.from('{"jsonrpc":"2.0","id":1,"method":"vendor/do"}'), limits).kind,
      'request',
    );
    assert.equal(
      readAgentMessage(Buffer.from('{"jsonrpc":"2.0","method":"vendor/do"}'), limits).kind,
      'notification',
    );
  });

  test('spelt with escapes is the method it spells', () => {
    assert.equal(
      read('{"jsonrpc":"2.0","id":1,"method":"tools\\/c\\u0061ll","params":{"name":"a"}}').kind,
      'call',
    );
  });
});

test('whatever the bytes are, there is one reading and no exception', () => {
  const seed = call('{"name":"pay","arguments":{"amount":1e3,"to":["ä",null]},"_meta":{"progressToken":7}}');
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
      fc.nat(seed.length),
      (changes, cut) => {
        const bytes = Buffer.from(seed).subarray(0, seed.length + 1 - (cut % 3));
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        const reading = readAgentMessage(bytes, {});
        if (reading.kind !== 'call') return;
        // What passes as a call is the call that every other reader sees.
        const parsed = JSON.parse(bytes.toString());
        assert.equal(parsed.method, 'tools/call');
        assert.equal(parsed.params.name, reading.tool);
        assert.deepEqual(Object.keys(parsed.params.arguments ?? {}), Object.keys(reading.args));
      },
    ),
    { numRuns: 5000 },
  );
});
