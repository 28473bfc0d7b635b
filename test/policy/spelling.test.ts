/** Keys of arguments that some servers take for ones that rules read. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ask, denialOf, policyOf, reasonOf, rulePolicy } from './policies.ts';

const AMOUNT = rulePolicy('conditions: [{path: args.amount, op: lte, value: 100}]');

describe('an argument spelt almost like one that a rule reads', () => {
  for (const [what, args] of [
    ['in another case, behind it', '{"amount":1,"Amount":999}'],
    ['in another case, before it', '{"AMOUNT":999,"amount":1}'],
    ['with a space', '{"amount":1,"amount ":999}'],
    ['with a zero-width mark', '{"amount":1,"amo\\u200bunt":999}'],
    ['in full-width letters', '{"amount":1,"ａmount":999}'],
  ] as const) {
    test(`is denied: ${what}`, () => {
      const denial = denialOf(ask(AMOUNT, args));
      assert.equal(denial.reason, 'invalid_argument');
      assert.match(denial.message, /spelt almost like "amount"/);
      assert.doesNotMatch(denial.message, /999/);
    });
  }

  test('is denied where the rule wants it absent', () => {
    const policy = policyOf(rulePolicy('conditions: [{path: args.force, op: exists, value: false}]'));
    assert.equal(reasonOf(ask(policy, '{}')), 'allowed');
    assert.equal(reasonOf(ask(policy, '{"Force":true}')), 'invalid_argument');
  });

  test('is denied at every step of a path', () => {
    const policy = policyOf(rulePolicy('conditions: [{path: args.to.owner.id, op: eq, value: 7}]'));
    assert.equal(reasonOf(ask(policy, '{"to":{"owner":{"id":7,"name":"n"}},"of":{"ID":8}}')), 'allowed');
    for (const args of [
      '{"to":{"owner":{"id":7,"Id":8}}}',
      '{"to":{"owner":{"id":7},"Owner":{"id":8}}}',
      '{"to":{"owner":{"id":7}},"TO":{"owner":{"id":8}}}',
    ])
      assert.equal(reasonOf(ask(policy, args)), 'invalid_argument', args);
  });

  test('is denied where the argument counts towards a limit', () => {
    const policy = policyOf(
      rulePolicy(
        'conditions: [{path: state.t.c, op: lte, value: 5}], state: {counter: c, window: hour, increment_from: args.amount}',
      ),
    );
    assert.equal(reasonOf(ask(policy, '{"amount":1}')), 'allowed');
    assert.equal(reasonOf(ask(policy, '{"amount":1,"Amount":900}')), 'invalid_argument');
  });

  test('is denied where only the rules for all tools read it', () => {
    const policy = `version: "1"\ntools:\n  "*":\n    rules:\n      - {name: r, conditions: [{path: args.path, op: neq, value: "/"}]}\n`;
    assert.equal(reasonOf(ask(policy, '{"path":"/tmp"}')), 'allowed');
    assert.equal(reasonOf(ask(policy, '{"path":"/tmp","Path":"/"}')), 'invalid_argument');
  });
});

describe('other spellings are nobody’s business', () => {
  test('of arguments that no rule reads', () => {
    assert.equal(reasonOf(ask(AMOUNT, '{"amount":1,"note":1,"Note":2,"in":{"Amount":3}}')), 'allowed');
  });

  test('where the policy itself reads both', () => {
    const both = policyOf(
      rulePolicy(
        'conditions: [{path: args.amount, op: lte, value: 100}, {path: args.Amount, op: lte, value: 100}]',
      ),
    );
    assert.equal(reasonOf(ask(both, '{"amount":1,"Amount":2}')), 'allowed');
    assert.equal(reasonOf(ask(both, '{"amount":1,"Amount":2,"AMOUNT":3}')), 'invalid_argument');
  });

  test('that keep dashes and underscores apart', () => {
    assert.equal(reasonOf(ask(AMOUNT, '{"amount":1,"a_mount":2,"a-mount":3}')), 'allowed');
  });
});
