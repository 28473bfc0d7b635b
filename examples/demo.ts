/**
 * `npm start`: a real MCP client calls the tools of a real MCP server through `portcullis run`, and one evaluation
 * hangs and one kills its worker on the way. Every line of the transcript is an expectation; the exit code is 0 only
 * if all of them held.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { Transcript } from './transcript.ts';

const HUNG = 'get-tiny-image';
const CRASHED = 'get-annotated-message';
/** Generous: a reload takes milliseconds, once the file system has told of the change. */
const RELOAD_WAIT_MS = 5_000;

const folder = mkdtempSync(join(tmpdir(), 'portcullis-demo-'));
const policyFile = join(folder, 'policy.yaml');
const policyText = readFileSync(new URL('../../examples/demo-policy.yaml', import.meta.url), 'utf8');
writeFileSync(policyFile, policyText);

const serverPackage = createRequire(import.meta.url).resolve(
  '@modelcontextprotocol/server-everything/package.json',
);
const upstream = [process.execPath, join(dirname(serverPackage), 'dist', 'index.js'), 'stdio'];
const args = [
  fileURLToPath(new URL('../src/main.js', import.meta.url)),
  'run',
  ...['-c', policyFile, '--state-dir', folder, '--log', join(folder, 'decisions.jsonl')],
  ...['--inject', `${HUNG}=hang`, '--inject', `${CRASHED}=crash`],
  '--',
  ...upstream,
];
const transport = new StdioClientTransport({ command: process.execPath, args, stderr: 'pipe' });
let stderr = '';
transport.stderr?.on('data', (chunk: Buffer) => {
  stderr = (stderr + chunk.toString('utf8')).slice(-20_000);
});
const agent = new Client({ name: 'demo-agent', version: '1' }, { capabilities: {} });
const out = new Transcript(process.stdout);

type Outcome = {
  readonly text: string;
  readonly denied: boolean;
  readonly reason: string | null;
  readonly ms: number;
};

async function call(name: string, input: Record<string, unknown>): Promise<Outcome> {
  const startedAt = performance.now();
  let text: string;
  let failed = false;
  try {
    const result = await agent.callTool({ name, arguments: input });
    failed = result.isError === true;
    const [first] = result.content as readonly { readonly type: string; readonly text?: string }[];
    text = first?.text ?? `(${first?.type ?? 'nothing'})`;
  } catch (error) {
    failed = true;
    text = error instanceof Error ? error.message : String(error);
  }
  const match = /\[PORTCULLIS DENIED\][\s\S]*\(([a-z_]+), decision /.exec(text);
  return { text, denied: failed, reason: match?.[1] ?? null, ms: performance.now() - startedAt };
}

async function expectAllowed(name: string, input: Record<string, unknown>): Promise<void> {
  const outcome = await call(name, input);
  out.step(!outcome.denied, 'allowed', `${name} ${JSON.stringify(input)}`, outcome.text, outcome.ms);
}

async function expectDenied(name: string, input: Record<string, unknown>, reason: string): Promise<void> {
  const outcome = await call(name, input);
  out.step(
    outcome.denied && outcome.reason === reason,
    'denied',
    `${name} ${JSON.stringify(input)}`,
    outcome.text,
    outcome.ms,
  );
}

async function faultsAmongGoodCalls(): Promise<void> {
  const slowest = { ms: 0 };
  let good = 0;
  let wrong = 0;
  let running = true;
  // Four callers that never pause, on the same connection as the two faults.
  const callers = Array.from({ length: 4 }, async (_, caller) => {
    while (running) {
      const message = `good call ${caller}`;
      const outcome = await call('echo', { message });
      if (outcome.denied || !outcome.text.includes(message)) wrong += 1;
      else good += 1;
      slowest.ms = Math.max(slowest.ms, outcome.ms);
    }
  });
  await pause(50);
  const [hung, crashed] = await Promise.all([call(HUNG, {}), call(CRASHED, { messageType: 'success' })]);
  running = false;
  await Promise.all(callers);
  out.step(
    hung.reason === 'evaluation_timeout',
    'denied',
    `${HUNG}, whose evaluation hangs`,
    hung.text,
    hung.ms,
  );
  out.step(
    crashed.reason === 'evaluation_crash',
    'denied',
    `${CRASHED}, whose evaluation kills its worker`,
    crashed.text,
    crashed.ms,
  );
  out.step(
    wrong === 0 && good > 0,
    'allowed',
    `${good} calls of echo meanwhile`,
    `the slowest took ${slowest.ms.toFixed(1)} ms, ${wrong} failed`,
  );
}

/** Repeats a call until the policy in force answers it as wanted. */
async function eventually(
  name: string,
  input: Record<string, unknown>,
  wanted: (outcome: Outcome) => boolean,
): Promise<Outcome> {
  const giveUpAt = performance.now() + RELOAD_WAIT_MS;
  for (;;) {
    const outcome = await call(name, input);
    if (wanted(outcome) || performance.now() > giveUpAt) return outcome;
    await pause(20);
  }
}

async function reload(): Promise<void> {
  const changedAt = performance.now();
  writeFileSync(
    policyFile,
    policyText.replaceAll('value: 1000', 'value: 1000000').replace('up to 1000 ', 'up to a million '),
  );
  const after = await eventually('get-sum', { a: 5000, b: 1 }, (outcome) => !outcome.denied);
  out.step(
    !after.denied,
    'allowed',
    'get-sum {"a":5000,"b":1} under the new policy',
    after.text,
    performance.now() - changedAt,
  );
  const said = stderr.length;
  writeFileSync(policyFile, policyText.replace('op: lte', 'op: lowerThan'));
  const giveUpAt = performance.now() + RELOAD_WAIT_MS;
  while (!/lowerThan/.test(stderr.slice(said)) && performance.now() < giveUpAt) await pause(20);
  const kept = await call('get-sum', { a: 5000, b: 1 });
  const refused = /lowerThan/.test(stderr.slice(said));
  out.step(
    refused && !kept.denied,
    'allowed',
    'get-sum {"a":5000,"b":1} after a policy file with a fault was refused',
    kept.text,
    kept.ms,
  );
}

const startedAt = performance.now();
try {
  out.title('An agent, Portcullis, and @modelcontextprotocol/server-everything');
  await agent.connect(transport);
  const { tools } = await agent.listTools();
  const names = tools.map((tool) => tool.name);
  out.step(
    names.includes('echo') && !names.includes('get-env'),
    'listed',
    `${names.length} tools, without the hidden get-env`,
    `${names.slice(0, 5).join(', ')}, …`,
  );

  out.title('Calls that the policy allows');
  await expectAllowed('echo', { message: 'hello' });
  await expectAllowed('get-sum', { a: 2, b: 40 });
  await expectAllowed('get-structured-content', { location: 'New York' });
  await expectAllowed('get-structured-content', { location: 'Chicago' });

  out.title('Calls that it denies, each with a reason that a model can act on');
  await expectDenied('get-sum', { a: 5000, b: 1 }, 'rule_denied');
  await expectDenied('get-sum', { a: '2', b: 40 }, 'invalid_argument');
  await expectDenied('toggle-simulated-logging', {}, 'tool_not_listed');
  await expectDenied('get-env', {}, 'tool_hidden');
  await expectDenied('get-structured-content', { location: 'Los Angeles' }, 'limit_reached');

  out.title('Two evaluations that go wrong, while others go on (--inject)');
  await faultsAmongGoodCalls();

  out.title('A new policy file, and one with a fault');
  await reload();
} catch (error) {
  out.step(false, 'went on', 'the demonstration', error instanceof Error ? error.message : String(error));
} finally {
  await agent.close();
  rmSync(folder, { recursive: true, force: true });
}
const held = out.summary(performance.now() - startedAt);
if (!held) process.stderr.write(`\nportcullis said:\n${stderr}\n`);
process.exitCode = held ? 0 : 1;
