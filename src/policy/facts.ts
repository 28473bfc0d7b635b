/**
 * What a policy may know about a call besides its arguments: who calls, which server is asked, what that server says
 * of the tool, and when. Plain data, gathered outside and handed in, so that a ruling stays a pure function.
 */
import type { SessionFacts } from '../decision/session-facts.ts';
import type { JsonObject } from '../decision/value.ts';

/** A tool as the server's own list shows it. */
export type AnnouncedTool = {
  readonly annotations: JsonObject | null;
  readonly inputSchema: JsonObject | null;
};

export type Facts = {
  readonly server: string;
  readonly session: SessionFacts;
  readonly nowMs: number;
  /** null: the server's list does not hold this tool, or is not known. */
  readonly announced: AnnouncedTool | null;
};

/** For calls about which nothing is known. */
export const NO_FACTS: Facts = {
  server: '',
  session: { id: '', clientName: null, clientVersion: null, startedMs: 0 },
  nowMs: 0,
  announced: null,
};

/** What an expression and a check see. */
export type CallContext = {
  readonly args: JsonObject;
  /** `annotations` null: the server has not announced this tool, or without any. */
  readonly tool: { readonly name: string; readonly annotations: JsonObject | null };
  readonly server: string;
  readonly session: SessionFacts;
  readonly nowMs: number;
};

export function contextOf(tool: string, args: JsonObject, facts: Facts): CallContext {
  const { server, session, nowMs, announced } = facts;
  return { args, tool: { name: tool, annotations: announced?.annotations ?? null }, server, session, nowMs };
}
