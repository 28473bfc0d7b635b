/**
 * What an evaluator worker answers about one message from the agent: what the message is and, for a tool call, how
 * the policy rules on it. Plain tagged objects, since they cross a thread.
 */
import type { Obligation, RuleRef } from './obligation.ts';
import type { DenyReason } from './reason.ts';
import type { ListedTool } from './session-facts.ts';

/** A request id in its one canonical spelling: `JSON.stringify` of the string or safe integer. */
export type RequestId = string;

/** The policy's answer to one call. Reads stand before reserves, each in the order of their rules. */
export type Ruling =
  | { readonly effect: 'allow'; readonly obligations: readonly Obligation[] }
  | {
      readonly effect: 'deny';
      readonly denial: Denial;
      /** What rules before the one that denied read of counters: if one of these reads fails, its rule is the one to name. */
      readonly earlier: readonly Obligation[];
    };

export type Denial = {
  readonly reason: DenyReason;
  /** For a model to act on: which rule, what would satisfy it; never an argument's value. */
  readonly message: string;
  readonly rule?: RuleRef;
  /** The rule's own `on_deny` text, which the denial's text must hold. */
  readonly onDeny?: string;
};

/**
 * `reading` outcomes of the strict reader. For a `call` the ruling is absent where only a reading was asked for
 * (after a failed evaluation), and `suspect` says that the lane declined to judge it because the call's bulkhead
 * is on probation or in quarantine.
 */
export type Verdict =
  | MalformedMessage
  | {
      readonly kind: 'call';
      /** null: sent as a notification, which is judged and never answered. */
      readonly id: RequestId | null;
      readonly tool: string;
      /**
       * The name holds characters outside the specification's, and the policy does not name it exactly:
       * it stands only if the server's own list holds exactly this name.
       */
      readonly unusualName?: true;
      /** The call asks to run as a task. */
      readonly task?: true;
      /** Canonical spelling of `_meta.progressToken`. */
      readonly progressToken?: RequestId;
      readonly ruling?: Ruling;
      /** Not judged: the policy asks what the server says of the tool, and its list is not known yet. */
      readonly unannounced?: true;
      readonly suspect?: 'probation' | 'quarantined';
    }
  | {
      readonly kind: 'request';
      readonly id: RequestId;
      readonly method: string;
      readonly progressToken?: RequestId;
      /** `initialize`: how the agent names itself, as far as it does. */
      readonly client?: { readonly name: string | null; readonly version: string | null };
    }
  | {
      readonly kind: 'notification';
      readonly method: string;
      /** `notifications/cancelled`: the id of the request it cancels. */
      readonly cancels?: RequestId;
      /** `notifications/progress`: the token it reports on. */
      readonly progressToken?: RequestId;
    }
  /** The agent's answer to a request of the server's (sampling, elicitation, roots, ping). */
  | { readonly kind: 'response'; readonly id: RequestId };

/** What must not be forwarded, and the JSON-RPC error its sender gets. */
export type MalformedMessage = {
  readonly kind: 'malformed';
  readonly reason: 'malformed_message' | 'unknown_method';
  /** JSON-RPC error code: -32700, -32600, -32601 or -32602. */
  readonly code: number;
  readonly message: string;
  /** The id, where it could be read without doubt; null where the error is to carry `"id": null`; absent: a notification or an answer, so nothing is sent. */
  readonly id?: RequestId | null;
  /** Set where the message is a tool call whose tool name could be read. */
  readonly tool?: string;
};

/** What a message from the upstream server is. */
export type ServerReading =
  | {
      readonly kind: 'response';
      readonly id: RequestId;
      /** `error`: a JSON-RPC error. `input_required`: a result that asks for more input before the work is done. */
      readonly outcome: 'result' | 'error' | 'input_required';
      /** Present where the message holds a tool list, whatever it answers. */
      readonly listing?: ToolListing;
      /** Of a result with a tool list: where its next page begins. */
      readonly nextCursor?: string;
    }
  | {
      readonly kind: 'request';
      readonly id: RequestId;
      readonly method: string;
      readonly progressToken?: RequestId;
    }
  | {
      readonly kind: 'notification';
      readonly method: string;
      readonly cancels?: RequestId;
      readonly progressToken?: RequestId;
    }
  | { readonly kind: 'malformed'; readonly message: string; readonly id?: RequestId };

/** The tools a message lists, and which byte ranges to cut so that only the visible ones remain. */
export type ToolListing = {
  /** The visible ones only. */
  readonly names: readonly string[];
  /** What the server says of each of them. */
  readonly tools: readonly ListedTool[];
  /** Half-open byte ranges `[from, to)` in ascending order; empty where nothing is hidden. */
  readonly cuts: readonly (readonly [number, number])[];
  readonly hidden: number;
};
