import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import type { ChannelSink } from '../../src/transport/channel.ts';
import { spawnUpstream, type UpstreamProcess } from '../../src/transport/upstream-process.ts';

type Heard = {
  readonly messages: string[];
  readonly closed: Promise<string | null>;
  readonly first: Promise<string>;
};

function listener(): { sink: ChannelSink; heard: Heard } {
  const messages: string[] = [];
  let closed: (detail: string | null) => void = () => {};
  let first: (message: string) => void = () => {};
  const heard: Heard = {
    messages,
    closed: new Promise((resolve) => {
      closed = resolve;
    }),
    first: new Promise((resolve) => {
      first = resolve;
    }),
  };
  const sink: ChannelSink = {
    message: (bytes) => {
      messages.push(bytes.toString());
      first(bytes.toString());
    },
    oversize: () => {},
    burst: () => {},
    drained: () => {},
    closed: (detail) => closed(detail),
  };
  return { sink, heard };
}

async function start(script: string): Promise<{ upstream: UpstreamProcess; heard: Heard }> {
  const { sink, heard } = listener();
  const outcome = await spawnUpstream({ command: process.execPath, args: ['-e', script] }, 1 << 20, sink);
  if (!outcome.ok) throw new Error(outcome.detail);
  outcome.upstream.channel.resume();
  return { upstream: outcome.upstream, heard };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A process that was killed and not yet waited for answers signals too.
  return !existsSync(`/proc/${pid}/stat`) || !/\) Z /.test(readStat(pid));
}

function readStat(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return ') Z ';
  }
}

async function untilDead(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe('an upstream process', () => {
  test('has its last words copied before it is said to be gone', async () => {
    const { sink, heard } = listener();
    const stderr = new PassThrough();
    const script =
      'process.stderr.write("first words"); process.stderr.write("x".repeat(9000) + "last words")';
    const command = { command: process.execPath, args: ['-e', script], stderr };
    const outcome = await spawnUpstream(command, 1 << 20, sink);
    if (!outcome.ok) throw new Error(outcome.detail);
    outcome.upstream.channel.resume();
    await heard.closed;
    assert.match(String(stderr.read()), /^first wordsx{9000}last words$/);
  });

  test('that cannot be found is an outcome with the reason', async () => {
    const outcome = await spawnUpstream({ command: 'no-such-command-here', args: [] }, 1024, listener().sink);
    assert.equal(outcome.ok, false);
    assert.match(outcome.ok ? '' : outcome.detail, /"no-such-command-here" was not found/);
  });

  test('is spoken to line by line and stops when its stdin ends', async () => {
    const { upstream, heard } = await start('process.stdin.pipe(process.stdout)');
    upstream.channel.send(Buffer.from('{"a":1}'));
    upstream.channel.send(Buffer.from('{"b":2}'));
    upstream.channel.flush();
    await heard.first;
    await upstream.stop(10_000);
    assert.equal(await heard.closed, 'exited with code 0');
    assert.deepEqual(heard.messages, ['{"a":1}', '{"b":2}']);
  });

  test('that ends by itself closes with how it ended, after its last answer', async () => {
    const { heard } = await start('process.stdout.write("last words\\n", () => process.exit(3))');
    assert.equal(await heard.closed, 'exited with code 3');
    assert.deepEqual(heard.messages, ['last words']);
  });

  test('that ignores the end of its stdin and SIGTERM is killed, with what it started', async () => {
    const { upstream, heard } = await start(`
        const { spawn } = require('node:child_process');
        process.on('SIGTERM', () => {});
        const child = spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); process.stdout.write("up"); setInterval(() => {}, 1e6)'], { stdio: ['ignore', 'pipe', 'ignore'] });
        child.stdout.once('data', () => process.stdout.write(child.pid + '\\n'));
        setInterval(() => {}, 1e6);`);
    const grandchild = Number(await heard.first);
    assert.ok(isAlive(grandchild));
    await upstream.stop(50);
    assert.equal(await heard.closed, 'was ended by SIGKILL');
    await untilDead(grandchild);
  });

  test('leaves nothing behind that it started when it ends by itself', async () => {
    const { heard } = await start(`
      const { spawn } = require('node:child_process');
      const child = spawn(process.execPath, ['-e', 'process.stdout.write("up"); setInterval(() => {}, 1e6)'], { stdio: ['ignore', 'pipe', 'ignore'] });
      child.stdout.once('data', () => process.stdout.write(child.pid + '\\n', () => process.exit(0)));`);
    const grandchild = Number(await heard.first);
    await heard.closed;
    await untilDead(grandchild);
  });

  test('whose stdin breaks is heard to its end', async () => {
    const { upstream, heard } = await start(`
      process.stdin.destroy();
      process.stdout.write('still here\\n', () => setTimeout(() => process.exit(0), 20));`);
    await heard.first;
    upstream.channel.send(Buffer.alloc(1 << 20, 97));
    upstream.channel.flush();
    await heard.closed;
    assert.deepEqual(heard.messages, ['still here']);
  });
});
