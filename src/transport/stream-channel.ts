/**
 * A channel over a pair of byte streams with one message a line: the stdio transport of MCP, both towards the agent
 * and towards an upstream process.
 */
import type { Readable, Writable } from 'node:stream';
import type { Channel, ChannelSink } from './channel.ts';
import { LineFramer } from './line-framer.ts';

const LINE_END = Buffer.from('\n');

/**
 * Joins the streams to the sink. Reading starts with `resume`.
 * @param maxBytes cap of one message; a longer one is skipped and reported.
 */
export function streamChannel(
  readable: Readable,
  writable: Writable,
  maxBytes: number,
  sink: ChannelSink,
): Channel {
  let closed = false;
  const close = (detail: string | null): void => {
    if (closed) return;
    closed = true;
    sink.closed(detail);
  };
  const framer = new LineFramer(maxBytes, {
    line: (bytes) => sink.message(bytes),
    oversize: () => sink.oversize(),
  });
  readable.on('data', (chunk: Buffer) => {
    framer.push(chunk);
    sink.burst();
  });
  readable.on('end', () => {
    framer.end();
    close(null);
  });
  readable.on('error', (error) => close(`reading failed: ${error.message}`));
  readable.on('close', () => close(null));
  // Reading starts only when asked: a 'data' listener would start it by itself.
  readable.pause();

  let queue: Uint8Array[] = [];
  let queued = 0;
  let broken = false;
  writable.on('drain', () => sink.drained());
  writable.on('error', (error) => {
    broken = true;
    close(`writing failed: ${error.message}`);
  });

  const flush = (): void => {
    if (queue.length === 0) return;
    const bytes = Buffer.concat(queue, queued);
    queue = [];
    queued = 0;
    if (!broken && !writable.writableEnded && !writable.destroyed) writable.write(bytes);
  };
  return {
    send(message) {
      queue.push(message, LINE_END);
      queued += message.length + 1;
    },
    flush,
    get buffered() {
      return queued + writable.writableLength;
    },
    pause: () => void readable.pause(),
    resume: () => void readable.resume(),
    end() {
      flush();
      if (!writable.writableEnded && !writable.destroyed) writable.end();
    },
  };
}
