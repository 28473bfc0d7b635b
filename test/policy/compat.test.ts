/** The recorded cases of the base dialect, judged in-process. The end-to-end run of the same cases is CI's. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Ruling } from '../../src/decision/verdict.ts';
import { evaluate, isVisible, type PreparedPolicy, prepare } from '../../src/policy/evaluate.ts';
import { compileRegex } from '../../src/policy/regex.ts';
import { readPolicy } from '../../src/policy/text/read-policy.ts';
import { CounterModel } from './counter-model.ts';
import { readArgs } from './strict-json.ts';

type Call = {
  tool: string;
  arguments?: unknown;
  argumentsText?: string;
  expect: 'allow' | 'deny';
  message?: string;
  unsafe?: boolean;
  wait?: 'minute';
  restart?: boolean;
};
type Case = {
  name: string;
  policy?: string;
  policyBase64?: string;
  valid: boolean;
  unsafe?: boolean;
  calls?: Call[];
  listTools?: { upstream: string[]; expect: string[] };
};

const root = fileURLToPath(new URL('../../../', import.meta.url));
const folder = join(process.env.PORTCULLIS_COMPAT ?? join(root, '../shared/compat'), 'cases/open');

/** What the proxy does with a call, as far as the policy goes. */
function judge(
  prepared: PreparedPolicy,
  counters: CounterModel,
  call: Call,
): { effect: 'allow' | 'deny'; text: string } {
  const argumentsText =
    call.argumentsText ?? (call.arguments === undefined ? undefined : JSON.stringify(call.arguments));
  const args = readArgs(argumentsText);
  const ruling: Ruling = evaluate(prepared, { tool: call.tool, args });
  if (ruling.effect === 'deny') {
    const spent = counters.discharge(ruling.earlier, false);
    return { effect: 'deny', text: spent?.onDeny ?? (spent === null ? ruling.denial.message : '') };
  }
  const refused = counters.discharge(ruling.obligations);
  if (refused !== null) return { effect: 'deny', text: refused.onDeny ?? '' };
  if (args.failRpc === true) counters.giveBack(ruling.obligations);
  return { effect: 'allow', text: '' };
}

function run(one: Case): void {
  const bytes =
    one.policyBase64 === undefined ? Buffer.from(one.policy ?? '') : Buffer.from(one.policyBase64, 'base64');
  const reading = readPolicy(bytes, `${one.name}.yaml`);
  const faults = reading.ok ? '' : JSON.stringify(reading.diagnostics);
  assert.equal(reading.ok, one.valid, `${one.name}: ${faults}`);
  if (!reading.ok) return;
  const prepared = prepare(reading.program, { compileRegex });
  if (one.listTools !== undefined) {
    assert.deepEqual(
      one.listTools.upstream.filter((tool) => isVisible(prepared, tool)),
      one.listTools.expect,
      one.name,
    );
  }
  const counters = new CounterModel();
  (one.calls ?? []).forEach((call, i) => {
    if (call.unsafe === true || call.restart === true) return;
    if (call.wait !== undefined) {
      counters.turn(call.wait);
      return;
    }
    const { effect, text } = judge(prepared, counters, call);
    assert.equal(effect, call.expect, `${one.name}, call ${i}: ${text}`);
    if (call.message !== undefined) assert.ok(text.includes(call.message), `${one.name}, call ${i}: ${text}`);
  });
}

const missing = existsSync(folder) ? false : `no recorded cases at ${folder}; set PORTCULLIS_COMPAT`;

describe('the recorded cases', { skip: missing }, () => {
  const cases = missing === false ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
  const read = cases.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Case);
  const groupOf = (one: Case) => one.name.split('-')[0] ?? '';
  for (const group of new Set(read.map(groupOf))) {
    const members = read.filter((one) => groupOf(one) === group);
    test(`of the group "${group}" come out as recorded`, () => {
      for (const one of members) if (one.unsafe !== true) run(one);
    });
  }
  test('are all there', () => assert.ok(read.length > 800, `${read.length} cases`));
});
