/** The examples of docs/policy.md: each policy is read, and each call below it is judged. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { prepareExpression } from '../../src/policy/cel/expression.ts';
import { evaluate, prepare } from '../../src/policy/evaluate.ts';
import type { Facts } from '../../src/policy/facts.ts';
import { compileRegex } from '../../src/policy/regex.ts';
import { ROOT } from '../project/project.ts';
import { programOf } from './policies.ts';
import { readArgs } from './strict-json.ts';

const TEXT = readFileSync(join(ROOT, 'docs/policy.md'), 'utf8');
const EXAMPLES = [...TEXT.matchAll(/```yaml\n([\s\S]*?)```\n```calls\n([\s\S]*?)```/g)];

const FACTS: Facts = {
  server: 'docs',
  session: { id: 's', clientName: 'agent', clientVersion: '2.0', startedMs: 0 },
  nowMs: Date.UTC(2026, 5, 1, 12),
  announced: null,
};

describe('docs/policy.md', () => {
  test('gives the calls of each policy that it shows', () => {
    assert.equal(EXAMPLES.length, [...TEXT.matchAll(/```yaml/g)].length);
    assert.ok(EXAMPLES.length >= 4);
  });

  for (const [, policy = '', calls = ''] of EXAMPLES) {
    const prepared = prepare(programOf(policy), { compileRegex, compileExpression: prepareExpression });
    for (const line of calls.trim().split('\n')) {
      test(line.replace(/\s+/g, ' '), () => {
        const [, tool = '', args = '', expected = ''] = /^(\S+) (\{.*\})\s+-> (.*)$/.exec(line) ?? [];
        const ruling = evaluate(prepared, { tool, args: readArgs(args), facts: FACTS });
        const found =
          ruling.effect === 'allow'
            ? 'allow'
            : [ruling.denial.reason, ruling.denial.rule?.rule].filter((part) => part !== undefined).join(' ');
        assert.equal(found, expected);
      });
    }
  }
});
