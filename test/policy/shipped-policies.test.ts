/** The policies that ship with the package are valid, free of warnings, and say what their comments promise. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { prepare } from '../../src/policy/evaluate.ts';
import { compileRegex } from '../../src/policy/regex.ts';
import { readPolicy } from '../../src/policy/text/read-policy.ts';
import { ask, reasonOf } from './policies.ts';

const folder = new URL('../../../policies/', import.meta.url);

function shipped(name: string) {
  const reading = readPolicy(readFileSync(new URL(name, folder)), name);
  assert.ok(reading.ok, JSON.stringify(reading));
  assert.deepEqual(reading.warnings, []);
  return prepare(reading.program, { compileRegex });
}

const CASES: { [file: string]: [string, string, string][] } = {
  'filesystem.yaml': [
    ['read_file', '{"path":"/srv/project/src/a.ts"}', 'allowed'],
    ['read_text_file', '{"path":"/srv/project"}', 'allowed'],
    ['read_file', '{"path":"/srv/project/../etc/passwd"}', 'rule_denied'],
    ['read_file', '{"path":"/srv/project/.."}', 'rule_denied'],
    ['read_file', '{"path":"/srv/projects/a"}', 'rule_denied'],
    ['read_file', '{"path":"/srv/project/.env"}', 'rule_denied'],
    ['read_file', '{"path":"/srv/project//.env"}', 'rule_denied'],
    ['read_file', '{"path":"/srv/project/a.env"}', 'allowed'],
    ['read_file', '{"path":["/srv/project/a"]}', 'invalid_argument'],
    ['write_file', '{"path":"/srv/project/a.txt"}', 'allowed'],
    ['write_file', '{"path":"/srv/project/.git/config"}', 'rule_denied'],
    ['list_directory', '{"path":"/srv/project/src"}', 'allowed'],
    ['list_directory', '{}', 'invalid_argument'],
    ['move_file', '{}', 'tool_not_listed'],
  ],
  'payments.yaml': [
    ['create_charge', '{"amount":500,"currency":"eur"}', 'allowed'],
    ['create_charge', '{"amount":500.01,"currency":"eur"}', 'rule_denied'],
    ['create_charge', '{"amount":-1,"currency":"eur"}', 'rule_denied'],
    ['create_charge', '{"amount":1,"currency":"gbp"}', 'rule_denied'],
    ['create_charge', '{"amount":"1","currency":"eur"}', 'invalid_argument'],
    ['create_refund', '{"reason":"duplicate order"}', 'allowed'],
    ['create_refund', '{"reason":" "}', 'rule_denied'],
    ['delete_customer', '{}', 'tool_hidden'],
    ['list_charges', '{}', 'allowed'],
  ],
};

describe('the shipped policy', () => {
  for (const [file, cases] of Object.entries(CASES)) {
    test(`${file} rules as it says`, () => {
      const policy = shipped(file);
      for (const [tool, args, reason] of cases)
        assert.equal(reasonOf(ask(policy, args, tool)), reason, `${tool} ${args}`);
    });
  }

  test('files are the ones tested here', () => {
    assert.deepEqual(
      readdirSync(folder)
        .filter((name) => name.endsWith('.yaml'))
        .sort(),
      Object.keys(CASES).sort(),
    );
  });
});
