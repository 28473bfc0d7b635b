/** Real servers and real clients of both SDK generations, with Portcullis between them. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { Client as NewClient } from '@modelcontextprotocol/client';
import { StdioClientTransport as NewStdio } from '@modelcontextprotocol/client/stdio';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { Scratch, server } from './harness.ts';

const EVERYTHING = `version: "1"
default: allow
hide: [get-env]
tools:
  get-sum:
    rules:
      - name: small numbers
        conditions:
          - {path: args.a, op: lte, value: 1000}
        on_deny: Only up to 1000.
  get-structured-content:
    rules:
      - {name: one a day, rate_limit: 1/day}
  gzip-file-as-resource:
    rules: [{name: no downloads, action: deny}]
`;

type Result = {
  readonly isError?: boolean;
  readonly content: readonly { readonly type: string; readonly text?: string }[];
};
const text = (result: unknown): string =>
  (result as Result).content.map((part) => part.text ?? '').join('\n');
const isError = (result: unknown): boolean => (result as Result).isError === true;

function command(t: TestContext, policy: string, upstream: readonly string[], flags: readonly string[] = []) {
  const scratch = new Scratch(t);
  scratch.writePolicy(policy);
  const [file, ...args] = scratch.command(upstream, flags);
  return { scratch, parameters: { command: file ?? '', args, stderr: 'ignore' as const } };
}

async function agent(t: TestContext, upstream: readonly string[], policy = EVERYTHING) {
  const { scratch, parameters } = command(t, policy, upstream);
  const client = new Client(
    { name: 'e2e', version: '1' },
    { capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } } },
  );
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => ({
    model: 'a-model',
    role: 'assistant' as const,
    content: { type: 'text' as const, text: `sampled ${params.maxTokens}` },
  }));
  client.setRequestHandler(ElicitRequestSchema, () => ({
    action: 'accept' as const,
    content: { name: 'Ada' },
  }));
  client.setRequestHandler(ListRootsRequestSchema, () => ({
    roots: [{ uri: 'file:///e2e', name: 'the root' }],
  }));
  const logged: unknown[] = [];
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
    logged.push(params.data);
  });
  await client.connect(new StdioClientTransport(parameters));
  t.after(() => client.close());
  return { client, scratch, logged };
}

describe('the SDK client of the first generation and server-everything', () => {
  test('tools: listed but for the hidden one, called, denied', async (t) => {
    const { client } = await agent(t, server.everything);
    const names = (await client.listTools()).tools.map((tool) => tool.name);
    assert.ok(names.includes('echo') && names.includes('get-sum'));
    assert.ok(!names.includes('get-env'));
    assert.match(text(await client.callTool({ name: 'echo', arguments: { message: 'hi' } })), /hi/);
    assert.match(text(await client.callTool({ name: 'get-sum', arguments: { a: 2, b: 40 } })), /42/);
    const denied = await client.callTool({ name: 'get-sum', arguments: { a: 2000, b: 1 } });
    assert.ok(isError(denied));
    assert.match(
      text(denied),
      /^\[PORTCULLIS DENIED\] [\s\S]*Only up to 1000\.[\s\S]*\(rule_denied, decision /,
    );
    assert.match(text(await client.callTool({ name: 'get-env', arguments: {} })), /tool_hidden/);
  });

  test('a strict client takes a denial of a tool that has an output schema', async (t) => {
    const { client } = await agent(t, server.everything);
    await client.listTools();
    const first = await client.callTool({
      name: 'get-structured-content',
      arguments: { location: 'New York' },
    });
    assert.ok('structuredContent' in first);
    const second = await client.callTool({
      name: 'get-structured-content',
      arguments: { location: 'New York' },
    });
    assert.match(text(second), /limit_reached/);
  });

  test('progress, sampling, elicitation and roots pass in both directions', async (t) => {
    const { client } = await agent(t, server.everything);
    const progress: number[] = [];
    const long = await client.callTool(
      { name: 'trigger-long-running-operation', arguments: { duration: 0.2, steps: 4 } },
      CallToolResultSchema,
      { onprogress: (step) => progress.push(step.progress) },
    );
    assert.match(text(long), /completed/);
    // This client forgets who waits for progress when the answer comes, and the last step may come with it in one read.
    assert.deepEqual(progress.slice(0, 3), [1, 2, 3]);
    assert.match(
      text(
        await client.callTool({ name: 'trigger-sampling-request', arguments: { prompt: 'p', maxTokens: 7 } }),
      ),
      /sampled 7/,
    );
    assert.match(text(await client.callTool({ name: 'trigger-elicitation-request', arguments: {} })), /Ada/);
    assert.match(text(await client.callTool({ name: 'get-roots-list', arguments: {} })), /file:\/\/\/e2e/);
  });

  test('a call that the client gives up is cancelled at the server', async (t) => {
    const { client } = await agent(t, server.everything);
    const controller = new AbortController();
    const given = client.callTool(
      { name: 'trigger-long-running-operation', arguments: { duration: 5, steps: 500 } },
      CallToolResultSchema,
      { signal: controller.signal, onprogress: () => controller.abort('enough') },
    );
    await assert.rejects(given, /enough/);
    assert.match(
      text(await client.callTool({ name: 'echo', arguments: { message: 'still here' } })),
      /still here/,
    );
  });

  test('prompts, resources, templates, completion, logging and ping pass', async (t) => {
    const { client, logged } = await agent(t, server.everything);
    assert.ok((await client.listPrompts()).prompts.length > 0);
    assert.ok(
      (await client.getPrompt({ name: 'args-prompt', arguments: { city: 'Brno' } })).messages.length > 0,
    );
    const { resources } = await client.listResources();
    const [first] = resources;
    assert.ok(first);
    assert.ok((await client.readResource({ uri: first.uri })).contents.length > 0);
    assert.ok((await client.listResourceTemplates()).resourceTemplates.length > 0);
    const completion = await client.complete({
      ref: { type: 'ref/prompt', name: 'completable-prompt' },
      argument: { name: 'department', value: 'E' },
    });
    assert.ok(completion.completion.values.includes('Engineering'));
    await client.subscribeResource({ uri: first.uri });
    await client.unsubscribeResource({ uri: first.uri });
    await client.setLoggingLevel('debug');
    await client.ping();
    await client.callTool({ name: 'get-roots-list', arguments: {} });
    assert.ok(Array.isArray(logged));
  });

  test('a call that runs as a task is judged once; the task is followed and cancelled', async (t) => {
    const { client, scratch } = await agent(t, server.everything);
    await client.listTools();
    const tasks = client.experimental.tasks;
    const request = { name: 'simulate-research-query', arguments: { topic: 'gates' } };
    for await (const message of tasks.callToolStream(request, CallToolResultSchema, {
      task: { ttl: 60_000 },
    })) {
      assert.equal(message.type, 'taskCreated', JSON.stringify(message));
      if (message.type !== 'taskCreated') break;
      const { taskId } = message.task;
      assert.equal((await tasks.getTask(taskId)).taskId, taskId);
      assert.equal((await tasks.cancelTask(taskId)).status, 'cancelled');
      break;
    }
    assert.equal(scratch.decisions().length, 1);
  });
});

describe('server-filesystem', () => {
  test('reads what the policy lets it, writes nothing it does not', async (t) => {
    const place = new Scratch(t);
    const data = join(realpathSync(place.folder), 'data');
    mkdirSync(data);
    writeFileSync(join(data, 'a.txt'), 'the text of a');
    const policy = `version: "1"
default: deny
tools:
  read_text_file:
    rules:
      - name: text files only
        conditions: [{path: args.path, op: regex, value: "^${data}/[a-z.]+$"}]
  list_directory: {rules: []}
  write_file:
    rules: [{name: read only, action: deny, on_deny: This folder is read-only.}]
`;
    const { client } = await agent(t, server.filesystem(data), policy);
    assert.equal(
      text(await client.callTool({ name: 'read_text_file', arguments: { path: join(data, 'a.txt') } })),
      'the text of a',
    );
    assert.match(
      text(await client.callTool({ name: 'list_directory', arguments: { path: data } })),
      /a\.txt/,
    );
    const outside = await client.callTool({
      name: 'read_text_file',
      arguments: { path: `${data}/../policy.yaml` },
    });
    assert.match(text(outside), /rule_denied/);
    const written = await client.callTool({
      name: 'write_file',
      arguments: { path: join(data, 'a.txt'), content: 'x' },
    });
    assert.match(text(written), /This folder is read-only\./);
    assert.match(
      text(await client.callTool({ name: 'edit_file', arguments: { path: join(data, 'a.txt'), edits: [] } })),
      /tool_not_listed/,
    );
    assert.equal(readFileSync(join(data, 'a.txt'), 'utf8'), 'the text of a');
  });
});

describe('the SDK client of the second generation', () => {
  const STATELESS = `version: "1"
default: deny
hide: [secret]
tools:
  greet: {rules: []}
  forbidden:
    rules: [{name: never, action: deny, on_deny: Never.}]
`;

  for (const mode of [{ pin: '2026-07-28' }, 'auto', 'legacy'] as const) {
    test(`speaks to a server of its own generation, negotiating ${typeof mode === 'string' ? mode : mode.pin}`, async (t) => {
      const { scratch, parameters } = command(t, STATELESS, server.stateless);
      const client = new NewClient({ name: 'e2e', version: '2' }, { versionNegotiation: { mode } });
      await client.connect(new NewStdio(parameters));
      t.after(() => client.close());
      const names = (await client.listTools()).tools.map((tool) => tool.name).sort();
      assert.deepEqual(names, ['forbidden', 'greet']);
      assert.equal(
        text(await client.callTool({ name: 'greet', arguments: { text: 'hello' } })),
        'greet: hello',
      );
      const denied = await client.callTool({ name: 'forbidden', arguments: { text: 'x' } });
      assert.ok(isError(denied));
      assert.match(text(denied), /Never\.[\s\S]*rule_denied/);
      assert.match(text(await client.callTool({ name: 'secret', arguments: { text: 'x' } })), /tool_hidden/);
      assert.equal(scratch.decisions().length, 3);
    });
  }

  test('falls back to the handshake with server-everything', async (t) => {
    const { parameters } = command(t, EVERYTHING, server.everything);
    const client = new NewClient({ name: 'e2e', version: '2' }, { versionNegotiation: { mode: 'auto' } });
    await client.connect(new NewStdio(parameters));
    t.after(() => client.close());
    assert.ok(!(await client.listTools()).tools.some((tool) => tool.name === 'get-env'));
    assert.match(text(await client.callTool({ name: 'echo', arguments: { message: 'hi' } })), /hi/);
    assert.match(
      text(await client.callTool({ name: 'get-sum', arguments: { a: 2000, b: 1 } })),
      /rule_denied/,
    );
  });
});

describe('a policy in CEL, and server-filesystem', () => {
  const policy = (folder: string): string => `version: "1"
tools:
  "*":
    rules:
      - name: the agent we know
        require: session.client.name == "e2e" && server.size() > 0 && now >= session.started
      - name: only reading
        require: tool.annotations.readOnlyHint == true
        on_deny: This agent may only read.
      - name: inside
        when: has(args.path)
        require: path.within(args.path, "${folder}")
`;

  test('rules on what the server says of its tools, though the agent never listed them', async (t) => {
    const folder = realpathSync(new Scratch(t).folder);
    writeFileSync(join(folder, 'a.txt'), 'some text');
    const { client, scratch } = await agent(t, server.filesystem(folder), policy(folder));
    const call = async (name: string, args: Record<string, unknown>): Promise<string> =>
      text(await client.callTool({ name, arguments: args }));
    // The first calls of the session all come before the list is known.
    const [read, written, unknown, outside] = await Promise.all([
      call('read_text_file', { path: join(folder, 'a.txt') }),
      call('write_file', { path: join(folder, 'b.txt'), content: 'x' }),
      call('no_such_tool', {}),
      call('read_text_file', { path: `${folder}-other/a.txt` }),
    ]);
    assert.match(read ?? '', /some text/);
    assert.match(written ?? '', /This agent may only read\.[\s\S]*rule_denied/);
    assert.match(unknown ?? '', /evaluation_error/);
    assert.match(outside ?? '', /path\.within[\s\S]*rule_denied/);
    assert.match(await call('read_text_file', { path: `${folder}/../x` }), /evaluation_error/);
    assert.match(await call('list_directory', { path: folder }), /a\.txt/);
    const reasons = scratch.decisions().map(({ reason }) => reason);
    assert.deepEqual(reasons.toSorted(), [
      'allowed',
      'allowed',
      'evaluation_error',
      'evaluation_error',
      'rule_denied',
      'rule_denied',
    ]);
  });
});
