/** The progress tokens of calls denied of late: what the agent reports on them must not reach the server. Bounded. */
import type { RequestId } from '../decision/verdict.ts';

export const MAX_RECENT_TOKENS = 1024;
/** Longer tokens are not kept but all taken for denied ones. */
export const MAX_TOKEN_LENGTH = 1024;

export class Recent {
  readonly #tokens = new Set<RequestId>();

  add(token: RequestId): void {
    if (token.length > MAX_TOKEN_LENGTH) return;
    this.#tokens.delete(token);
    this.#tokens.add(token);
    if (this.#tokens.size <= MAX_RECENT_TOKENS) return;
    for (const oldest of this.#tokens) {
      this.#tokens.delete(oldest);
      return;
    }
  }

  /** A later call may use the token again. */
  forget(token: RequestId): void {
    this.#tokens.delete(token);
  }

  has(token: RequestId): boolean {
    // FAIL-CLOSED: a token too long to be kept may be that of a denied call.
    return token.length > MAX_TOKEN_LENGTH || this.#tokens.has(token);
  }
}
