/** What the gate itself says, as bytes without a line's end. */
import type { Decision } from '../decision/decision.ts';
import type { RequestId } from '../decision/verdict.ts';
import type { Reply } from '../gate/protocol.ts';

/** Key of the decision under `_meta`: a prefix that is ours, then a name (MCP, basic protocol, `_meta`). */
export const DECISION_META_KEY = 'dev.portcullis/decision';

export function replyBytes(reply: Reply): Buffer {
  return Buffer.from(reply.kind === 'denial' ? denial(reply.id, reply.decision) : error(reply));
}

/** A tool result with `isError: true`, which a model reads; `resultType` is what 2026-07-28 asks for and others ignore. */
function denial(id: RequestId, decision: Decision): string {
  const result = {
    content: [{ type: 'text', text: denialText(decision) }],
    isError: true,
    resultType: 'complete',
    _meta: { [DECISION_META_KEY]: summary(decision) },
  };
  return `{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify(result)}}`;
}

export function denialText(decision: Decision): string {
  return `[PORTCULLIS DENIED] ${decision.message} (${decision.reason}, decision ${decision.id})`;
}

function error(reply: Extract<Reply, { kind: 'error' }>): string {
  const body = {
    code: reply.code,
    message: reply.message,
    data: { reason: reply.reason, ...(reply.decision === undefined ? {} : { decision: reply.decision.id }) },
  };
  return `{"jsonrpc":"2.0","id":${reply.id ?? 'null'},"error":${JSON.stringify(body)}}`;
}

function summary(decision: Decision): object {
  return {
    id: decision.id,
    effect: decision.effect,
    reason: decision.reason,
    server: decision.server,
    tool: decision.tool,
    ...(decision.rule === undefined ? {} : { rule: decision.rule }),
    ...(decision.retryAtMs === undefined ? {} : { retryAt: new Date(decision.retryAtMs).toISOString() }),
    ...(decision.injected === undefined ? {} : { injected: true }),
    policyDigest: decision.policyDigest,
    mode: decision.mode,
    failMode: decision.failMode,
  };
}

/** Tells the upstream that nobody waits for a request's answer any more. */
export function cancelledNotification(id: RequestId, reason: string): Buffer {
  return Buffer.from(
    `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id},"reason":${JSON.stringify(reason)}}}`,
  );
}
