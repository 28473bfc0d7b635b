import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { applyCuts } from '../../src/mcp/apply-cuts.ts';
import { readServerMessage } from '../../src/mcp/read-server-message.ts';

const HIDDEN = new Set(['secret', 'löschen', '删除']);
const isVisible = (tool: string): boolean => !HIDDEN.has(tool);
const read = (text: string | Uint8Array) => readServerMessage(Buffer.from(text as string), {}, isVisible);
const result = (body: string): string => `{"jsonrpc":"2.0","id":1,"result":${body}}`;

/** What the agent gets of a message. */
function filtered(text: string): string {
  const bytes = Buffer.from(text);
  const reading = read(bytes);
  assert.ok(reading.kind === 'response' && reading.listing !== undefined, JSON.stringify(reading));
  return applyCuts(bytes, reading.listing).toString();
}

const namesIn = (text: string): unknown[] =>
  JSON.parse(text).result.tools.map((tool: { name: unknown }) => tool.name);

describe('a tool list', () => {
  test('loses the hidden tools wherever they stand, and nothing else', () => {
    const a = '{"name":"a","x":[1, 2]}';
    const b = '{ "name" : "b" }';
    const s = '{"name":"secret","inputSchema":{"type":"object"}}';
    for (const [list, names] of [
      [
        [a, b],
        ['a', 'b'],
      ],
      [
        [s, a, b],
        ['a', 'b'],
      ],
      [
        [a, s, b],
        ['a', 'b'],
      ],
      [
        [a, b, s],
        ['a', 'b'],
      ],
      [
        [s, s, a, s, s, b, s, s],
        ['a', 'b'],
      ],
      [[s], []],
      [[s, s], []],
      [[], []],
    ] as const) {
      const text = filtered(
        result(`{"tools": [ ${list.join(' , ')} ], "nextCursor":"n", "_meta":{"k":1.0}}`),
      );
      assert.deepEqual(namesIn(text), names);
      for (const kept of list) if (kept !== s) assert.ok(text.includes(kept));
      assert.ok(text.endsWith('"nextCursor":"n", "_meta":{"k":1.0}}}'));
      assert.ok(!text.includes('secret'));
    }
  });

  test('is cut at bytes and not at characters', () => {
    const tools = ['größe', 'löschen', '工具', '删除', 'z'].map((name) => ({
      name,
      description: `“${name}” 🚫`,
    }));
    const text = filtered(result(JSON.stringify({ tools })));
    assert.deepEqual(namesIn(text), ['größe', '工具', 'z']);
  });

  test('hides what has no name that can be read without doubt', () => {
    for (const entry of [
      '5',
      'null',
      '["secret"]',
      '{}',
      '{"name":5}',
      '{"name":null}',
      '{"Name":"secret"}',
      '{"name":"a","NAME":"secret"}',
      '{"name":"a","name":"secret"}',
      '{"name":"a","\\u006eame":"secret"}',
      '{"name":"secret","name":"a"}',
      '{"\\uff4eame":"secret","name":"a"}',
      '{"name":["a"]}',
    ])
      assert.deepEqual(
        namesIn(filtered(result(`{"tools":[{"name":"ok"},${entry},{"name":"z"}]}`))),
        ['ok', 'z'],
        entry,
      );
  });

  test('is known by what it is, whatever it answers and however it is spelt', () => {
    assert.deepEqual(
      namesIn(filtered('{"result":{"x":1,"\\u0074ools":[{"name":"secret"}]},"id":"odd","jsonrpc":"2.0"}')),
      [],
    );
  });

  test('under a key that only a lenient reader takes for it is refused', () => {
    for (const body of [
      '{"Tools":[{"name":"secret"}]}',
      '{"tools":[],"TOOLS":[{"name":"secret"}]}',
      '{"tools":[],"tools":[{"name":"secret"}]}',
      '{"too\u200bls":[]}',
    ])
      assert.equal(read(result(body)).kind, 'malformed', body);
    assert.equal(read('{"jsonrpc":"2.0","id":1,"Result":{"tools":[]}}').kind, 'malformed');
    assert.equal(read('{"jsonrpc":"2.0","id":1,"result":{},"result":{"tools":[]}}').kind, 'malformed');
  });

  test('says where its next page begins', () => {
    const reading = read(result('{"tools":[{"name":"a"}],"nextCursor":"p2"}'));
    assert.ok(reading.kind === 'response' && reading.nextCursor === 'p2');
  });

  test('of any tools keeps exactly the visible ones, byte for byte', () => {
    const tool = fc.record(
      {
        name: fc.oneof(fc.constantFrom('secret', 'löschen', 'a', '工具'), fc.string({ unit: 'binary' })),
        x: fc.jsonValue(),
      },
      { requiredKeys: ['name'] },
    );
    fc.assert(
      fc.property(fc.array(tool, { maxLength: 8 }), fc.constantFrom(undefined, 2), (tools, indent) => {
        const wellFormed = tools.filter(({ name }) => !/\p{Surrogate}/u.test(name));
        const text = filtered(
          result(JSON.stringify({ tools: wellFormed, end: 1 }, null, indent).replaceAll('\r', ' ')),
        );
        const visible = wellFormed.filter(({ name }) => isVisible(name));
        assert.deepEqual(JSON.parse(text).result.tools, JSON.parse(JSON.stringify(visible)));
      }),
      { numRuns: 300 },
    );
  });
});

describe('a message of the server', () => {
  test('is told apart by its members', () => {
    assert.deepEqual(read(result('{"content":[]}')), { kind: 'response', id: '1', outcome: 'result' });
    assert.deepEqual(read('{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":"m"}}'), {
      kind: 'response',
      id: '"a"',
      outcome: 'error',
    });
    assert.deepEqual(read(result('{"resultType":"input_required","inputRequests":{}}')), {
      kind: 'response',
      id: '1',
      outcome: 'input_required',
    });
    assert.deepEqual(
      read(
        '{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{"_meta":{"progressToken":3}}}',
      ),
      {
        kind: 'request',
        id: '7',
        method: 'sampling/createMessage',
        progressToken: '3',
      },
    );
    assert.deepEqual(
      read('{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}'),
      {
        kind: 'notification',
        method: 'notifications/progress',
        progressToken: '"t"',
      },
    );
    assert.deepEqual(read('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}'), {
      kind: 'notification',
      method: 'notifications/cancelled',
      cancels: '7',
    });
  });

  test('an escaped id is the id it spells', () => {
    const reading = read('{"jsonrpc":"2.0","id":"\\u0061","result":{}}');
    assert.ok(reading.kind === 'response' && reading.id === '"a"');
  });

  test('that is nonsense names whom it leaves without an answer, where that can be known', () => {
    for (const [text, id] of [
      ['hello', undefined],
      ['[]', undefined],
      ['{"jsonrpc":"2.0"}', undefined],
      ['{"jsonrpc":"2.0","id":1}', '1'],
      ['{"jsonrpc":"2.0","id":1,"result":5}', '1'],
      ['{"jsonrpc":"2.0","id":1,"result":{"a":}}', '1'],
      ['{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', '1'],
      ['{"jsonrpc":"1.0","id":1,"result":{}}', '1'],
      ['{"jsonrpc":"2.0","id":1,"id":2,"result":{}}', '1'],
      ['{"jsonrpc":"2.0","id":1.5,"result":{}}', undefined],
      ['{"jsonrpc":"2.0","id":null,"error":{}}', undefined],
    ] as const) {
      const reading = read(text);
      assert.ok(reading.kind === 'malformed', text);
      assert.equal(reading.id, id, text);
    }
  });

  test('whose bytes were changed at random is read or refused, and never throws', () => {
    const seed = result('{"tools":[{"name":"secret","d":"ö"},{"name":"a"}],"nextCursor":"x"}');
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Buffer.from(seed);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        const reading = read(bytes);
        if (reading.kind !== 'response' || reading.listing === undefined) return;
        const left = JSON.parse(applyCuts(bytes, reading.listing).toString());
        for (const tool of left.result.tools) assert.ok(isVisible(tool.name));
      }),
      { numRuns: 4000 },
    );
  });
});
