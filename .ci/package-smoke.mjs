// Packs the project, installs the tarball into an empty folder and uses it there as a stranger would: the command, a
// shipped policy, the library, and one session with a server, which proves that the workers are found. Last line: counts.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tmp = mkdtempSync(join(tmpdir(), 'portcullis-pack-'));
const app = join(tmp, 'app');
const ANSWER_TIMEOUT_MS = 30_000;
let passed = 0;
let failed = 0;

async function check(title, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok: ${title}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED: ${title}\n${error.stack}`);
  }
}

function npx(...args) {
  return execFileSync('npx', ['--no-install', 'portcullis', ...args], { cwd: app, encoding: 'utf8' });
}

const SERVER = `
import { createInterface } from 'node:readline';
const tool = (name) => ({ name, inputSchema: { type: 'object' } });
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) continue;
  const result = {
    initialize: { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'tiny', version: '1' } },
    'tools/list': { tools: [tool('echo'), tool('erase')] },
    'tools/call': { content: [{ type: 'text', text: 'ran ' + params?.name }] },
  }[method];
  process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n');
}
`;
const POLICY = `version: "1"
default: deny
tools:
  echo:
    rules:
      - name: short texts
        conditions:
          - { path: args.text, op: eq, value: hello }
        on_deny: Only hello may be echoed.
`;

async function session() {
  writeFileSync(join(app, 'server.mjs'), SERVER);
  writeFileSync(join(app, 'policy.yaml'), POLICY);
  const bin = join(app, 'node_modules', '.bin', 'portcullis');
  const args = ['run', '-c', 'policy.yaml', '--state-dir', 'state', '--log-level', 'warn', '--'];
  const child = spawn(bin, [...args, process.execPath, 'server.mjs'], {
    cwd: app,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? signal));
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), ANSWER_TIMEOUT_MS);
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const send = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  const ask = async (id, method, params) => {
    send({ id, method, params });
    const { value, done } = await answers.next();
    assert.equal(done, false, `no answer to ${method}`);
    const answer = JSON.parse(value);
    assert.equal(answer.id, id);
    return answer.result;
  };
  try {
    const client = { name: 'smoke', version: '1' };
    const hello = await ask(1, 'initialize', {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: client,
    });
    assert.equal(hello.serverInfo.name, 'tiny');
    send({ method: 'notifications/initialized' });
    const good = await ask(2, 'tools/call', { name: 'echo', arguments: { text: 'hello' } });
    assert.equal(good.content[0].text, 'ran echo');
    const bad = await ask(3, 'tools/call', { name: 'erase', arguments: {} });
    assert.equal(bad.isError, true);
    assert.match(bad.content[0].text, /^\[PORTCULLIS DENIED\] .*tool_not_listed/s);
    child.stdin.end();
    assert.equal(await ended, 0, 'the exit code after the agent closed its end');
  } finally {
    clearTimeout(timer);
    child.kill('SIGKILL');
  }
  const log = readFileSync(join(app, 'state', 'decisions.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map(JSON.parse);
  assert.deepEqual(
    log.map((decision) => [decision.tool, decision.effect]),
    [
      ['echo', 'allow'],
      ['erase', 'deny'],
    ],
  );
}

try {
  mkdirSync(app);
  execFileSync('npm', ['pack', '--pack-destination', tmp], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const tarball = readdirSync(tmp).find((name) => name.endsWith('.tgz'));
  assert.ok(tarball, 'npm pack wrote no tarball');
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true, "type": "module" }\n');
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', join(tmp, tarball)], {
    cwd: app,
    stdio: 'inherit',
  });
  const installed = join(app, 'node_modules', 'portcullis');
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

  await check('the command says its version', () => assert.equal(npx('--version').trim(), version));
  await check('each shipped policy is valid', () => {
    const policies = readdirSync(join(installed, 'policies'))
      .filter((name) => name.endsWith('.yaml') && !name.endsWith('.cases.yaml'))
      .map((name) => join(installed, 'policies', name));
    assert.ok(policies.length > 0);
    const report = JSON.parse(npx('validate', '--json', ...policies));
    assert.equal(report.valid, true);
  });
  await check('a program can import it', () => {
    const print = 'import { VERSION } from "portcullis"; console.log(VERSION)';
    const out = execFileSync(process.execPath, ['--input-type=module', '-e', print], {
      cwd: app,
      encoding: 'utf8',
    });
    assert.equal(out.trim(), version);
  });
  await check('the schemas are shipped', () =>
    assert.ok(existsSync(join(installed, 'dist', 'schemas', 'decision.schema.json'))),
  );
  await check('a session is judged, answered and logged', session);
} finally {
  rmSync(tmp, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
