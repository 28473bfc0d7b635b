/**
 * The tools that the server itself lists, asked for when a call names a tool whose name only the server's own list can
 * vouch for, or when the policy asks what the server says of it. The agent sees nothing of it. Asked at most once until the server says that its
 * list changed, page after page, within a deadline; calls that need the answer wait for it.
 */
import { randomUUID } from 'node:crypto';
import type { ListedTool } from '../decision/session-facts.ts';
import type { RequestId, ServerReading } from '../decision/verdict.ts';

export type ServerNamesParts = {
  /** Sends a request to the server. */
  readonly send: (bytes: Buffer) => void;
  /** Told of the visible names of each page. */
  readonly listed: (names: readonly string[]) => void;
  /** Told of all visible tools, when they are as well known as they will be, and of null once that changes. */
  readonly known: (tools: readonly ListedTool[] | null) => void;
};

const TIMEOUT_MS = 5_000;
const MAX_PAGES = 100;
const MAX_KEPT_CHARS = 4 * 1024 * 1024;

export class ServerNames {
  readonly #parts: ServerNamesParts;
  #state: 'unknown' | 'asking' | 'known' = 'unknown';
  #id: RequestId | null = null;
  #pages = 0;
  #tools: ListedTool[] = [];
  #chars = 0;
  #waiting: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** Without a handshake each request says which revision it speaks (2026-07-28). */
  #stateless = true;

  constructor(parts: ServerNamesParts) {
    this.#parts = parts;
  }

  initialized(): void {
    this.#stateless = false;
  }

  /** Calls back when the list is as well known as it will be; false where it is already. */
  await(then: () => void): boolean {
    if (this.#state === 'known') return false;
    this.#waiting.push(then);
    if (this.#state === 'asking') return true;
    this.#state = 'asking';
    this.#pages = 0;
    this.#tools = [];
    this.#chars = 0;
    this.#timer = setTimeout(() => this.#done(), TIMEOUT_MS);
    this.#ask(undefined);
    return true;
  }

  /** Takes a reading if it answers the request made here. */
  take(reading: ServerReading | { readonly kind: 'failed' }): boolean {
    if (reading.kind === 'notification' && reading.method === 'notifications/tools/list_changed') {
      if (this.#state === 'known') {
        this.#state = 'unknown';
        this.#parts.known(null);
      }
      return false;
    }
    if (reading.kind !== 'response' || this.#id === null || reading.id !== this.#id) return false;
    this.#id = null;
    const { listing, nextCursor } = reading;
    if (listing !== undefined) {
      this.#keep(listing.tools);
      this.#parts.listed(listing.names);
    }
    this.#pages += 1;
    if (listing !== undefined && nextCursor !== undefined && this.#pages < MAX_PAGES) this.#ask(nextCursor);
    else this.#done();
    return true;
  }

  /** Nothing more will come: nobody waits any longer. */
  close(): void {
    this.#done();
  }

  #ask(cursor: string | undefined): void {
    // INVARIANT: nobody can guess it. An agent that used it too could take the list's answer for that of its own call.
    this.#id = JSON.stringify(`portcullis-${randomUUID()}`);
    const meta = this.#stateless
      ? {
          _meta: {
            'io.modelcontextprotocol/protocolVersion': '2026-07-28',
            'io.modelcontextprotocol/clientCapabilities': {},
          },
        }
      : {};
    const params = JSON.stringify({ ...(cursor === undefined ? {} : { cursor }), ...meta });
    this.#parts.send(
      Buffer.from(`{"jsonrpc":"2.0","id":${this.#id},"method":"tools/list","params":${params}}`),
    );
  }

  /** Of tools beyond the bound nothing is known but their names. */
  #keep(tools: readonly ListedTool[]): void {
    for (const tool of tools) {
      this.#chars += tool.name.length + (tool.annotations?.length ?? 0) + (tool.inputSchema?.length ?? 0);
      if (this.#chars > MAX_KEPT_CHARS) return;
      this.#tools.push(tool);
    }
  }

  /** FAIL-CLOSED: what was not listed by now is not vouched for. */
  #done(): void {
    clearTimeout(this.#timer);
    if (this.#state !== 'known') this.#parts.known(this.#tools);
    this.#state = 'known';
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const then of waiting) then();
  }
}
