/** Which rules a name falls under, which names are hidden, and which look like one of those. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { evaluate, isVisible, nameStanding } from '../../src/policy/evaluate.ts';
import { compileGlob } from '../../src/policy/glob.ts';
import { isSpecifiedName } from '../../src/policy/tool-name.ts';
import { ask, conditionPolicy, denialOf, policyOf, reasonOf } from './policies.ts';

const NAMES = policyOf(`version: "1"
hide: [purge, "drop_*", löschen]
tools:
  delete_repo: {rules: [{name: no, action: deny}]}
  "read_*": {rules: [{name: path, conditions: [{path: args.path, op: exists, value: true}]}]}
  READ_LOUD: {rules: []}
`);

describe('globs', () => {
  test('match whole names, any character for *, one for ?', () => {
    const matches = (pattern: string, name: string) => compileGlob(pattern)(name);
    for (const [pattern, name] of [
      ['read_*', 'read_'],
      ['read_*', 'read_a/b'],
      ['*_all', 'x_all'],
      ['a?c', 'abc'],
      ['a?c', 'a😀c'],
      ['*a*b*', 'xaybz'],
      ['**', ''],
      ['a.c', 'a.c'],
    ] as const) {
      assert.ok(matches(pattern, name), `${pattern} ${name}`);
    }
    for (const [pattern, name] of [
      ['read_*', 'xread_a'],
      ['read_*', 'Read_a'],
      ['*_all', 'x_all2'],
      ['a?c', 'ac'],
      ['a?c', 'abbc'],
      ['a.c', 'abc'],
      ['?', ''],
      ['re?d', 're?dy'],
    ] as const) {
      assert.ok(!matches(pattern, name), `${pattern} ${name}`);
    }
  });

  test('of many stars take no time worth measuring on a long name', () => {
    assert.equal(compileGlob('*a*a*a*a*a*a*b')('a'.repeat(1000)), false);
  });

  test('apply after the exact name and before the wildcard, in the order of the file; all that match apply', () => {
    const text = `version: "1"
tools:
  "*": {rules: [{name: wildcard, action: deny}]}
  "read_*": {rules: [{name: prefix, conditions: [{path: args.a, op: eq, value: 1}]}]}
  "*_file": {rules: [{name: suffix, conditions: [{path: args.b, op: eq, value: 1}]}]}
  read_file: {rules: [{name: exact, conditions: [{path: args.c, op: eq, value: 1}]}]}
`;
    const policy = policyOf(text);
    const ruleOf = (args: string, tool: string) => denialOf(ask(policy, args, tool)).rule?.rule;
    assert.equal(ruleOf('{"a":0,"b":0,"c":0}', 'read_file'), 'exact');
    assert.equal(ruleOf('{"a":0,"b":0,"c":1}', 'read_file'), 'prefix');
    assert.equal(ruleOf('{"a":1,"b":0,"c":1}', 'read_file'), 'suffix');
    assert.equal(ruleOf('{"a":1,"b":1,"c":1}', 'read_file'), 'wildcard');
    assert.equal(ruleOf('{"a":0}', 'read_dir'), 'prefix');
    assert.equal(ruleOf('{}', 'write'), 'wildcard');
  });

  test('list a tool under default: deny, which the wildcard alone does not', () => {
    const policy = policyOf('version: "1"\ndefault: deny\ntools: {"read_*": {}, "*": {rules: []}}\n');
    assert.equal(reasonOf(ask(policy, '{}', 'read_x')), 'allowed');
    assert.equal(reasonOf(ask(policy, '{}', 'write_x')), 'tool_not_listed');
  });

  test('share one counter among the tools they match', () => {
    const policy = policyOf('version: "1"\ntools: {"read_*": {rules: [{name: r, rate_limit: 1/day}]}}\n');
    const ruling = ask(policy, '{}', 'read_x');
    assert.deepEqual(ruling.effect === 'allow' && ruling.obligations[0]?.counter, {
      scope: 'read_*',
      name: '_rate_day',
      window: 'day',
    });
  });

  test('hide', () => {
    assert.equal(reasonOf(ask(NAMES, '{}', 'drop_all')), 'tool_hidden');
    assert.equal(isVisible(NAMES, 'drop_all'), false);
    assert.equal(isVisible(NAMES, 'dropped'), true);
  });
});

describe('look-alikes', () => {
  test('of a ruled or hidden name differ from it by case, white space, invisible marks or Unicode form alone', () => {
    const alike = [
      'Delete_repo',
      'DELETE_REPO',
      ' delete_repo',
      'delete_repo\n',
      'delete\u200b_repo',
      'delete_repo\u00ad',
      'ｄelete_repo',
      'delete_\u2060repo',
      'Purge',
      'purge\u00a0',
      'lo\u0308schen',
      'LÖSCHEN',
      'purg\u{e0065}e',
      '\u202epurge',
      'pur\u3164ge',
      '\u2800purge',
    ];
    for (const name of alike) assert.equal(nameStanding(NAMES, name), 'look_alike', JSON.stringify(name));
  });

  test('of a glob match it only when folded', () => {
    for (const name of ['Read_x', 'read\u200b_x', 'ＲEAD_X', 'Drop_all'])
      assert.equal(nameStanding(NAMES, name), 'look_alike', name);
  });

  test('of a glob are found though folding changes how a character is composed', () => {
    assert.equal(nameStanding(policyOf('version: "1"\nhide: ["l?schen"]\n'), 'LO\u0308SCHEN'), 'look_alike');
  });

  test('are not the names themselves, nor other names', () => {
    for (const name of ['delete_repo', 'purge', 'löschen', 'READ_LOUD'])
      assert.equal(nameStanding(NAMES, name), 'named', name);
    for (const name of [
      'delete-repo',
      'delete_repo2',
      'deleterepo',
      'read_x',
      'read',
      'drop_x',
      'constructor',
      'a b',
    ]) {
      assert.equal(nameStanding(NAMES, name), 'other', name);
    }
  });

  test('of hidden names are not shown either', () => {
    assert.equal(isVisible(NAMES, 'PURGE'), false);
    assert.equal(isVisible(NAMES, 'Delete_Repo'), true);
  });

  test('include whatever is too long to be compared, and what is no name', () => {
    for (const name of ['', '*', 'x'.repeat(5_000)]) {
      assert.equal(nameStanding(NAMES, name), 'look_alike');
      assert.equal(reasonOf(ask(NAMES, '{}', name)), 'malformed_message');
    }
  });
});

test('the specification\u2019s names are 1 to 128 letters, digits, underscores, dashes and dots', () => {
  for (const name of ['a', 'A.b-c_9', 'x'.repeat(128)]) assert.ok(isSpecifiedName(name), name);
  for (const name of ['', 'x'.repeat(129), 'a/b', 'a b', 'é', 'a\n']) assert.ok(!isSpecifiedName(name), name);
});

test('nothing is inherited: names and paths of the prototype chain mean nothing', () => {
  const policy = policyOf(`version: "1"
default: deny
tools:
  t: {rules: [{name: r, conditions: [{path: args.__proto__.role, op: eq, value: admin}]}]}
`);
  assert.equal(reasonOf(ask(policy, '{"__proto__":{"role":"admin"}}')), 'allowed');
  assert.equal(reasonOf(ask(policy, '{"role":"admin"}')), 'invalid_argument');
  // Not even from an object that has a prototype, which the strict reader never makes.
  const inherits = policyOf(conditionPolicy('exists', 'true', 'args.toString'));
  assert.equal(reasonOf(evaluate(inherits, { tool: 't', args: {} })), 'rule_denied');
  for (const tool of ['constructor', '__proto__', 'toString', 'hasOwnProperty'])
    assert.equal(reasonOf(ask(policy, '{}', tool)), 'tool_not_listed');
});
