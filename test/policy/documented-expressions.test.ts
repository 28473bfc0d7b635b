/** The lines of docs/expressions.md: each expression gives for its arguments what it says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ExpressionError, prepareExpression } from '../../src/policy/cel/expression.ts';
import { contextOf } from '../../src/policy/facts.ts';
import { ROOT } from '../project/project.ts';
import { readArgs } from './strict-json.ts';

const TEXT = readFileSync(join(ROOT, 'docs/expressions.md'), 'utf8');
const LINES = [...TEXT.matchAll(/```expressions\n([\s\S]*?)```/g)].flatMap(([, block = '']) =>
  block.trim().split('\n'),
);

const FACTS = {
  server: 'docs',
  session: { id: 's', clientName: 'agent', clientVersion: '2.0', startedMs: Date.UTC(2026, 5, 1) },
  nowMs: Date.UTC(2026, 5, 1, 12),
  announced: null,
};

describe('docs/expressions.md', () => {
  test('has lines to run', () => assert.ok(LINES.length > 30));

  for (const line of LINES) {
    test(line.replace(/\s+/g, ' '), () => {
      const [, source = '', args = '', expected = ''] =
        /^(.*?)\s+(\{.*\})\s+-> (true|false|error)$/.exec(line) ?? [];
      let found: string;
      try {
        found = String(prepareExpression(source)(contextOf('t', readArgs(args), FACTS)));
      } catch (error) {
        assert.ok(error instanceof ExpressionError, String(error));
        found = 'error';
      }
      assert.equal(found, expected);
    });
  }
});
