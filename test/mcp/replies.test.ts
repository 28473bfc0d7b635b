import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Decision } from '../../src/decision/decision.ts';
import { cancelledNotification, replyBytes } from '../../src/mcp/replies.ts';

const DECISION: Decision = {
  id: 'd-1',
  session: 's',
  server: 'srv',
  tool: 'pay',
  requestId: '"x"',
  effect: 'deny',
  reason: 'rule_denied',
  message: 'At most 100. "amount" must be at most 100',
  rule: { tool: 'pay', rule: 'cap', index: 0 },
  policyDigest: 'f00',
  mode: 'enforce',
  failMode: 'closed',
  timeMs: 0,
  queueUs: 0,
  evaluationUs: 0,
  totalUs: 0,
};

test('a denial is a tool result that a model can read, pinned', () => {
  const text = replyBytes({ kind: 'denial', id: '"x"', decision: DECISION }).toString();
  assert.ok(!text.includes('\n'));
  assert.deepEqual(JSON.parse(text), {
    jsonrpc: '2.0',
    id: 'x',
    result: {
      content: [
        {
          type: 'text',
          text: '[PORTCULLIS DENIED] At most 100. "amount" must be at most 100 (rule_denied, decision d-1)',
        },
      ],
      isError: true,
      resultType: 'complete',
      _meta: {
        'dev.portcullis/decision': {
          id: 'd-1',
          effect: 'deny',
          reason: 'rule_denied',
          server: 'srv',
          tool: 'pay',
          rule: { tool: 'pay', rule: 'cap', index: 0 },
          policyDigest: 'f00',
          mode: 'enforce',
          failMode: 'closed',
        },
      },
    },
  });
});

test('an error carries its reason, and null where the id is unknown', () => {
  const reply = { kind: 'error', id: null, code: -32700, reason: 'malformed_message', message: 'm' } as const;
  assert.deepEqual(JSON.parse(replyBytes(reply).toString()), {
    jsonrpc: '2.0',
    id: null,
    error: { code: -32700, message: 'm', data: { reason: 'malformed_message' } },
  });
});

test('a cancellation names the request as it was spelt', () => {
  assert.deepEqual(JSON.parse(cancelledNotification('"a\\"b"', 'why').toString()), {
    jsonrpc: '2.0',
    method: 'notifications/cancelled',
    params: { requestId: 'a"b', reason: 'why' },
  });
});
