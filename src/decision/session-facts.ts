/** What is known of a session besides its calls, as it is told to the lanes: plain data. */

export type SessionFacts = {
  readonly id: string;
  /** As the agent named itself in `initialize`; null before, and where it did not. */
  readonly clientName: string | null;
  readonly clientVersion: string | null;
  /** Milliseconds since the epoch. */
  readonly startedMs: number;
};

/** A tool as the server's own list shows it: the JSON of its annotations and of its input schema, null where it gives none. */
export type ListedTool = {
  readonly name: string;
  readonly annotations: string | null;
  readonly inputSchema: string | null;
};

export type SessionDescription = {
  readonly server: string;
  readonly session: SessionFacts;
  /** null: not known yet. */
  readonly tools: readonly ListedTool[] | null;
};
