/**
 * One side of a session: whole messages in, whole messages out, with back-pressure. Each transport is an adapter
 * under this interface; nothing above it knows what carries the bytes.
 */

export type Channel = {
  /** Queues one message, without its terminator; `flush` hands it over. The bytes must not change afterwards. */
  send(message: Uint8Array): void;
  /** Hands over what was queued, in one write. */
  flush(): void;
  /** Bytes sent or queued that the other side has not taken yet. */
  readonly buffered: number;
  pause(): void;
  resume(): void;
  /** Sends what is queued, then says that nothing more will come. */
  end(): void;
};

export type ChannelSink = {
  /** One message, without its terminator. The bytes stay unchanged. */
  message(bytes: Buffer): void;
  /** A message longer than the cap went by and was skipped. */
  oversize(): void;
  /** All messages of one read were delivered. */
  burst(): void;
  /** The other side took what was buffered. */
  drained(): void;
  /** Nothing more will come. `detail` says why where it was not a plain end. Called once. */
  closed(detail: string | null): void;
};
