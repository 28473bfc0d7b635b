/**
 * What the end-to-end tests share: the real executable in a scratch folder, a peer that speaks literal bytes to it,
 * and a record of everything that reached the upstream. Nothing here waits for time to pass: every wait is for an
 * event, with a limit far beyond what a slow machine needs, so that a fault ends in a message and not in silence.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const LIMIT_MS = 20_000;
const at = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const packageFile = (name: string, file: string): string =>
  join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), file);

export const MAIN = at('../../src/main.js');
export const NODE = process.execPath;

/** Commands of upstream servers. */
export const server = {
  recording: (...args: readonly string[]): readonly string[] => [
    NODE,
    at('../fixtures/servers/recording.js'),
    ...args,
  ],
  diesAtStart: [NODE, at('../fixtures/servers/dies-at-start.js')],
  stubborn: [NODE, at('../fixtures/servers/stubborn.js')],
  stateless: [NODE, at('../fixtures/servers/stateless.js')],
  everything: [NODE, packageFile('@modelcontextprotocol/server-everything', 'dist/index.js'), 'stdio'],
  filesystem: (folder: string): readonly string[] => [
    NODE,
    packageFile('@modelcontextprotocol/server-filesystem', 'dist/index.js'),
    folder,
  ],
};

export type Json = { readonly [key: string]: unknown };
export type Message = {
  readonly jsonrpc?: unknown;
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Json;
  readonly result?: Json & {
    readonly isError?: boolean;
    readonly content?: readonly { readonly type: string; readonly text: string }[];
  };
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
};
export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };
export type Seen = { readonly text: string; readonly message: Message };

/** A folder for one test: policy, state, log and record, removed when the test ends. */
export class Scratch {
  readonly folder: string;
  readonly policyFile: string;
  readonly logFile: string;
  readonly recordFile: string;

  constructor(t: TestContext) {
    this.folder = mkdtempSync(join(tmpdir(), 'portcullis-e2e-'));
    this.policyFile = join(this.folder, 'policy.yaml');
    this.logFile = join(this.folder, 'log', 'decisions.jsonl');
    this.recordFile = join(this.folder, 'record');
    t.after(() => rmSync(this.folder, { recursive: true, force: true }));
  }

  writePolicy(text: string): void {
    writeFileSync(this.policyFile, text);
  }

  /** Every line that reached the recording server, as bytes would have it in Latin-1: one character a byte. */
  recorded(): readonly string[] {
    if (!existsSync(this.recordFile)) return [];
    return readFileSync(this.recordFile, 'latin1').split('\n').slice(0, -1);
  }

  /** The recorded lines that hold a tool call, or look like one. */
  recordedCalls(): readonly string[] {
    return this.recorded().filter((line) => line.includes('tools'.concat('/call')));
  }

  decisions(): readonly Json[] {
    if (!existsSync(this.logFile)) return [];
    return readFileSync(this.logFile, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Json);
  }

  /** The command that puts `upstream` behind the policy. */
  command(upstream: readonly string[], flags: readonly string[] = []): readonly string[] {
    const own = ['run', '-c', this.policyFile, '--state-dir', this.folder, '--log', this.logFile];
    return [NODE, MAIN, ...own, ...flags, '--', ...upstream];
  }
}

/** A process spoken to in lines of bytes. */
export class Peer {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  /** All that came on stdout, line by line. A line that is no JSON object is kept in `garbage`. */
  readonly seen: Seen[] = [];
  readonly garbage: string[] = [];
  stderr = '';
  #rest = '';
  #nextId = 1000;
  #watchers = new Set<() => void>();
  #exit: Exit | null = null;

  constructor(command: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const [file, ...args] = command;
    this.child = spawn(file ?? '', args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.exited = new Promise((resolve) => {
      this.child.once('close', (code, signal) => {
        this.#exit = { code, signal };
        resolve(this.#exit);
        this.#wake();
      });
    });
    this.child.stdin?.on('error', () => {});
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-100_000);
      this.#wake();
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#read(text));
  }

  get pid(): number {
    assert.ok(this.child.pid, 'the process did not start');
    return this.child.pid;
  }

  get id(): number {
    return this.#nextId++;
  }

  /** Bytes as they are; a string is UTF-8. A line feed is the caller's to give. */
  write(bytes: string | Uint8Array): void {
    this.child.stdin?.write(bytes);
  }

  send(message: Json): void {
    this.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  }

  /** Waits for a message; those that came already count. */
  async message(what: string, wanted: (message: Message, text: string) => boolean): Promise<Seen> {
    let from = 0;
    let found: Seen | undefined;
    await this.until(what, () => {
      for (; from < this.seen.length && found === undefined; from++) {
        const candidate = this.seen[from];
        if (candidate !== undefined && wanted(candidate.message, candidate.text)) found = candidate;
      }
      return found !== undefined;
    });
    assert.ok(found);
    return found;
  }

  answer(id: unknown): Promise<Message> {
    return this.message(
      `the answer to ${JSON.stringify(id)}`,
      (m) => m.id === id && m.method === undefined,
    ).then((s) => s.message);
  }

  request(method: string, params: Json = {}): Promise<Message> {
    const id = this.id;
    this.send({ id, method, params });
    return this.answer(id);
  }

  call(name: string, args: Json = {}, more: Json = {}): Promise<Message> {
    return this.request('tools/call', { name, arguments: args, ...more });
  }

  async initialize(capabilities: Json = {}, protocolVersion = '2025-11-25'): Promise<Message> {
    const answer = await this.request('initialize', {
      protocolVersion,
      capabilities,
      clientInfo: { name: 'e2e', version: '1' },
    });
    this.send({ method: 'notifications/initialized' });
    return answer;
  }

  said(what: RegExp): Promise<void> {
    return this.until(`stderr to match ${what}`, () => what.test(this.stderr));
  }

  /** Waits until the condition holds; it is looked at whenever the process says something or ends. */
  until(what: string, condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: Error | null): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        if (error === null) resolve();
        else reject(error);
      };
      const fail = (why: string): void =>
        settle(new Error(`${why} while waiting for ${what}\n${this.#state()}`));
      const look = (): void => {
        if (condition()) settle(null);
        else if (this.#exit !== null) fail(`the process ended (${JSON.stringify(this.#exit)})`);
      };
      const timer = setTimeout(() => fail('nothing came'), LIMIT_MS);
      this.#watchers.add(look);
      look();
    });
  }

  end(): void {
    this.child.stdin?.end();
  }

  async exit(): Promise<Exit> {
    const limit = new AbortController();
    const late = pause(LIMIT_MS, null, { signal: limit.signal }).catch(() => null);
    const exit = await Promise.race([this.exited, late]);
    limit.abort();
    assert.ok(exit, `the process did not end\n${this.#state()}`);
    return exit;
  }

  #state(): string {
    const last = this.seen.slice(-5).map((seen) => seen.text.slice(0, 300));
    return `last messages:\n${last.join('\n')}\nstderr:\n${this.stderr.slice(-3000)}`;
  }

  #read(chunk: string): void {
    const text = this.#rest + chunk;
    const lines = text.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      try {
        this.seen.push({ text: line, message: JSON.parse(line) as Message });
      } catch {
        this.garbage.push(line);
      }
    }
    this.#wake();
  }

  #wake(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

export type Started = { readonly peer: Peer; readonly scratch: Scratch };
export type StartOptions = {
  readonly policy: string;
  readonly upstream?: readonly string[];
  readonly flags?: readonly string[];
  readonly initialize?: boolean;
  /** Further arguments of the recording server. */
  readonly recording?: readonly string[];
};

/** Starts the executable behind `policy`, by default in front of the recording server, initialized. */
export async function start(t: TestContext, options: StartOptions): Promise<Started> {
  const scratch = new Scratch(t);
  scratch.writePolicy(options.policy);
  const upstream =
    options.upstream ?? server.recording('--record', scratch.recordFile, ...(options.recording ?? []));
  const peer = new Peer(scratch.command(upstream, options.flags));
  t.after(async () => {
    peer.end();
    const stopper = setTimeout(() => peer.child.kill('SIGKILL'), 5_000);
    await peer.exited;
    clearTimeout(stopper);
  });
  if (options.initialize !== false) {
    const answer = await peer.initialize();
    assert.ok(answer.result, `initialize failed: ${JSON.stringify(answer)}`);
  }
  return { peer, scratch };
}

export function textOf(answer: Message): string {
  return answer.result?.content?.[0]?.text ?? '';
}

const DENIAL =
  /^\[PORTCULLIS DENIED\] (?<message>[\s\S]+) \((?<reason>[a-z_]+), decision (?<decision>[^)\s]+)\)/;

/** @returns the parts of a denial, having checked that it is one, under `reason`. */
export function assertDenied(
  answer: Message,
  reason: string,
): { readonly message: string; readonly decision: string } {
  assert.equal(answer.result?.isError, true, `expected a denial, found ${JSON.stringify(answer)}`);
  const groups = DENIAL.exec(textOf(answer))?.groups;
  assert.ok(groups, `no denial text: ${textOf(answer)}`);
  assert.equal(groups['reason'], reason, textOf(answer));
  return { message: groups['message'] ?? '', decision: groups['decision'] ?? '' };
}

export function assertAllowed(answer: Message, text: string): void {
  assert.notEqual(answer.result?.isError, true, `expected an allowed call, found ${JSON.stringify(answer)}`);
  assert.equal(textOf(answer), text, JSON.stringify(answer));
}

/** A process that is a zombie is gone for every purpose but its parent's. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return !existsSync('/proc/self/stat');
  }
}

/** Waits until a process that is not our child is gone; the operating system gives no event for that. */
export async function gone(pid: number): Promise<void> {
  for (const giveUpAt = Date.now() + LIMIT_MS; isAlive(pid); await pause(20)) {
    assert.ok(Date.now() < giveUpAt, `process ${pid} is still there`);
  }
}

/** Looks again and again at what gives no event, such as a file. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const giveUpAt = Date.now() + LIMIT_MS; !(await condition()); await pause(20)) {
    assert.ok(Date.now() < giveUpAt, `waited in vain for ${what}`);
  }
}
