/**
 * The load generator: newline-delimited JSON-RPC over a child's stdio, hand-written so that it costs the same few
 * microseconds a call whatever it drives. Every answer is handed to a check; an answer that nothing waits for is an error.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { performance } from 'node:perf_hooks';

export type Answer = {
  readonly id?: number | string | null;
  readonly result?: {
    readonly isError?: boolean;
    readonly content?: readonly { readonly type: string; readonly text?: string }[];
    readonly _meta?: Record<string, unknown>;
  };
  readonly error?: { readonly code: number; readonly message: string };
};

/** Called with the answer and the instants (`performance.now()`) of sending and of arrival. */
type Waiter = (answer: Answer, sentAt: number, arrivedAt: number) => void;

const ANSWER_TIMEOUT_MS = 20_000;

export class WireClient {
  readonly child: ChildProcess;
  readonly #waiting = new Map<number, { readonly sentAt: number; readonly waiter: Waiter }>();
  #nextId = 1;
  #rest = '';
  #outgoing = '';
  #stderr = '';
  #fail: ((error: Error) => void) | null = null;
  #broken: Error | null = null;
  readonly ended: Promise<number | null>;

  private constructor(command: readonly string[]) {
    const [file, ...args] = command;
    this.child = spawn(file ?? '', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.ended = new Promise((resolve) => {
      this.child.once('close', (code) => {
        this.#break(new Error(`the process ended with ${code}; it said:\n${this.#stderr}`));
        resolve(code);
      });
    });
    this.child.once('error', (error) => this.#break(error));
    this.child.stdin?.on('error', (error) => this.#break(error));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-8_000);
    });
    this.child.stdout?.setEncoding('utf8').on('data', (chunk: string) => this.#read(chunk));
  }

  /** Spawns, initializes and is ready for calls. */
  static async start(command: readonly string[]): Promise<WireClient> {
    const client = new WireClient(command);
    const params =
      '{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}';
    const answer = await client.request(
      (id) => `{"jsonrpc":"2.0","id":${id},"method":"initialize","params":${params}}`,
    );
    if (answer.result === undefined)
      throw new Error(`initialize was answered with ${JSON.stringify(answer)}`);
    client.#outgoing += '{"jsonrpc":"2.0","method":"notifications/initialized"}\n';
    client.flush();
    return client;
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Queues one request; `flush` sends what is queued in one write. */
  queue(line: (id: number) => string, waiter: Waiter): void {
    const id = this.#nextId++;
    this.#outgoing += `${line(id)}\n`;
    this.#waiting.set(id, { sentAt: performance.now(), waiter });
  }

  flush(): void {
    if (this.#outgoing === '') return;
    this.child.stdin?.write(this.#outgoing);
    this.#outgoing = '';
  }

  request(line: (id: number) => string): Promise<Answer> {
    return this.until((resolve) => {
      this.queue(line, resolve);
      this.flush();
    });
  }

  /** Runs `body` until it resolves; the end of the process or a long silence rejects. */
  until<T>(body: (resolve: (value: T) => void, reject: (error: Error) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#broken !== null) {
        reject(this.#broken);
        return;
      }
      let seen = this.#nextId;
      const watchdog = setInterval(() => {
        if (seen === this.#nextId)
          finish(() => reject(new Error(`no answer in ${ANSWER_TIMEOUT_MS} ms; it said:\n${this.#stderr}`)));
        seen = this.#nextId;
      }, ANSWER_TIMEOUT_MS);
      const finish = (settle: () => void): void => {
        clearInterval(watchdog);
        this.#fail = null;
        settle();
      };
      const fail = (error: Error): void => finish(() => reject(error));
      this.#fail = fail;
      body((value) => finish(() => resolve(value)), fail);
    });
  }

  /** Keeps `inFlight` requests under way until `calls` are answered; tells every latency in milliseconds. */
  closedLoop(options: {
    readonly inFlight: number;
    readonly calls: number;
    readonly line: (id: number) => string;
    readonly check: (answer: Answer) => void;
  }): Promise<{ readonly latenciesMs: Float64Array; readonly elapsedMs: number }> {
    const latenciesMs = new Float64Array(options.calls);
    let sent = 0;
    let done = 0;
    const startedAt = performance.now();
    return this.until((resolve, reject) => {
      const send = (): void => {
        sent += 1;
        this.queue(options.line, (answer, sentAt, arrivedAt) => {
          try {
            options.check(answer);
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
            return;
          }
          latenciesMs[done] = arrivedAt - sentAt;
          done += 1;
          if (sent < options.calls) send();
          else if (done === options.calls) resolve({ latenciesMs, elapsedMs: arrivedAt - startedAt });
        });
      };
      while (sent < Math.min(options.inFlight, options.calls)) send();
      this.flush();
    });
  }

  async close(): Promise<void> {
    this.child.stdin?.end();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 5_000);
    await this.ended;
    clearTimeout(timer);
  }

  #read(chunk: string): void {
    const arrivedAt = performance.now();
    const text = this.#rest + chunk;
    let from = 0;
    for (let to = text.indexOf('\n'); to >= 0; to = text.indexOf('\n', from)) {
      const line = text.slice(from, to);
      from = to + 1;
      const answer = JSON.parse(line) as Answer;
      const entry = typeof answer.id === 'number' ? this.#waiting.get(answer.id) : undefined;
      if (entry === undefined) {
        this.#break(new Error(`an answer that nothing waits for: ${line.slice(0, 300)}`));
        return;
      }
      this.#waiting.delete(answer.id as number);
      entry.waiter(answer, entry.sentAt, arrivedAt);
    }
    this.#rest = text.slice(from);
    this.flush();
  }

  #break(error: Error): void {
    this.#broken ??= error;
    this.#fail?.(error);
  }
}

/** @throws where the answer is anything but the upstream's own text for call `n` of `tool`. */
export function expectText(answer: Answer, text: string): void {
  const found = answer.result?.content?.[0]?.text;
  if (answer.result?.isError === true || found !== text) {
    throw new Error(
      `wrong answer: expected the text ${JSON.stringify(text)}, found ${JSON.stringify(answer).slice(0, 400)}`,
    );
  }
}

/** The reason code of a denial, or null for an answer that is none. */
export function denialReason(answer: Answer): string | null {
  if (answer.result?.isError !== true) return null;
  const match = /^\[PORTCULLIS DENIED\] [\s\S]*\(([a-z_]+), decision [^)]+\)/.exec(
    answer.result.content?.[0]?.text ?? '',
  );
  return match?.[1] ?? null;
}
