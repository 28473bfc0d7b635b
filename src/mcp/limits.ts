/** What an operator may set about the reading of messages. */
export type ReadLimits = {
  /** Methods beyond those that MCP defines, as requests or notifications, that may pass. */
  readonly extraMethods?: ReadonlySet<string>;
};

/** Longest id in characters. It is kept for as long as the request is under way. */
export const MAX_ID_LENGTH = 1024;
