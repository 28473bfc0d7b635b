// Asks an MCP server on stdio for its tools and writes what policies are held against to policies/snapshots/NAME.json:
//   node scripts/snapshot-tools.mjs NAME PACKAGE@VERSION -- COMMAND [ARG...]
// Only names, annotations and input schemas are kept, without the server's prose, so that a difference in the file is
// a difference in what can be called. The server is only asked for its list; no tool is called.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const split = process.argv.indexOf('--');
const [name, from] = process.argv.slice(2, split);
const [command, ...args] = process.argv.slice(split + 1);
const at = from?.lastIndexOf('@') ?? -1;
if (split < 0 || name === undefined || at < 1 || command === undefined) {
  console.error('usage: node scripts/snapshot-tools.mjs NAME PACKAGE@VERSION -- COMMAND [ARG...]');
  process.exit(64);
}

const server = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] });
const deadline = setTimeout(() => fail('the server did not answer within 60 seconds'), 60_000);
const waiting = new Map();
let lastId = 0;

server.on('error', (error) => fail(error.message));
server.on('exit', () => fail('the server ended before it had answered'));
server.stdin.on('error', () => {}); // its end is told by 'exit'
createInterface({ input: server.stdout }).on('line', (line) => {
  let message;
  try {
    message = JSON.parse(line);
  } catch {
    return;
  }
  waiting.get(message.id)?.(message);
});

function fail(why) {
  console.error(`${name}: ${why}`);
  server.kill();
  process.exit(1);
}

function send(message) {
  server.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
}

async function ask(method, params) {
  const id = ++lastId;
  const answer = new Promise((resolve) => waiting.set(id, resolve));
  send({ id, method, params });
  const { result, error } = await answer;
  return result ?? fail(`${method} was refused: ${JSON.stringify(error)}`);
}

const PROSE = new Set(['description', 'title', '$schema', 'examples']);

/** Keywords that say what is meant are dropped; an argument that happens to have such a name is kept. */
function bare(schema) {
  if (Array.isArray(schema)) return schema.map(bare);
  if (typeof schema !== 'object' || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key]) => !PROSE.has(key))
      .map(([key, value]) => [key, key === 'properties' || key === '$defs' ? bareEach(value) : bare(value)]),
  );
}

function bareEach(schemas) {
  return Object.fromEntries(Object.entries(schemas).map(([key, value]) => [key, bare(value)]));
}

const clientInfo = { name: 'snapshot-tools', version: '1' };
const { serverInfo } = await ask('initialize', {
  protocolVersion: '2025-06-18',
  capabilities: {},
  clientInfo,
});
send({ method: 'notifications/initialized' });
const tools = [];
let cursor;
do {
  const page = await ask('tools/list', cursor === undefined ? {} : { cursor });
  tools.push(...page.tools);
  cursor = page.nextCursor;
} while (cursor !== undefined);

const snapshot = {
  package: { name: from.slice(0, at), version: from.slice(at + 1) },
  server: { name: serverInfo.name, version: serverInfo.version },
  tools: tools
    .map(({ name, annotations, inputSchema }) => ({
      name,
      annotations: annotations === undefined ? null : bare(annotations),
      inputSchema: bare(inputSchema),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1)),
};
writeFileSync(
  new URL(`../policies/snapshots/${name}.json`, import.meta.url),
  `${JSON.stringify(snapshot, null, 2)}\n`,
);
clearTimeout(deadline);
console.log(`${name}: ${snapshot.tools.length} tools of ${serverInfo.name} ${serverInfo.version}`);
server.removeAllListeners('exit');
server.kill();
process.exit(0);
