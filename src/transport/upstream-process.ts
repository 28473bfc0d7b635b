/**
 * An upstream MCP server as a child process of its own: started, spoken to over its stdin and stdout, and stopped
 * with everything it started. Its stderr goes where it is told to, by default to ours.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { Channel, ChannelSink } from './channel.ts';
import { streamChannel } from './stream-channel.ts';

export type UpstreamCommand = {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /**
   * Where its stderr is copied to. Left out, it has ours: a start makes the file behind that wait for its reader, so
   * a pipe that this process itself writes to is better copied to.
   */
  readonly stderr?: Writable;
};

export type UpstreamProcess = {
  readonly channel: Channel;
  readonly pid: number;
  /** Resolves when the process is gone, with a sentence about how. Never rejects. */
  readonly gone: Promise<string>;
  /**
   * Stops it: its stdin ends, then SIGTERM, then SIGKILL, to its whole process group, each after `graceMs`.
   * Resolves when it is gone.
   */
  stop(graceMs: number): Promise<void>;
  /** SIGKILL to its whole process group, at once. */
  kill(): void;
};

export type SpawnOutcome =
  | { readonly ok: true; readonly upstream: UpstreamProcess }
  | { readonly ok: false; readonly detail: string };

/** Starts the command. A command that cannot be started is an outcome, not an exception. */
export function spawnUpstream(
  { command, args, env, cwd, stderr }: UpstreamCommand,
  maxBytes: number,
  sink: ChannelSink,
): Promise<SpawnOutcome> {
  let child: ChildProcess;
  try {
    child = spawn(command, [...args], {
      stdio: ['pipe', 'pipe', stderr === undefined ? 'inherit' : 'pipe'],
      // A group of its own, so that what the command starts (npx starts a shell, which starts the server) stops with it.
      detached: true,
      env: env ?? process.env,
      ...(cwd === undefined ? {} : { cwd }),
    });
  } catch (error) {
    return Promise.resolve({ ok: false, detail: error instanceof Error ? error.message : String(error) });
  }
  return new Promise((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      resolve({ ok: false, detail: startFailure(command, error) }),
    );
    child.once('spawn', () => {
      if (stderr !== undefined) copy(child.stderr, stderr);
      resolve({ ok: true, upstream: join(child, maxBytes, sink) });
    });
  });
}

function startFailure(command: string, error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return `the command ${JSON.stringify(command)} was not found`;
  if (error.code === 'EACCES') return `the command ${JSON.stringify(command)} may not be executed`;
  return error.message;
}

/** As fast as it is taken; once nobody takes it, it is read and forgotten, so that it does not hold up the process. */
function copy(from: Readable | null, to: Writable): void {
  if (from === null) return;
  from.on('error', () => {});
  from.pipe(to, { end: false });
  const forget = (): void => {
    from.unpipe(to);
    from.resume();
  };
  to.once('error', forget);
  to.once('close', forget);
  from.once('close', () => {
    to.off('error', forget);
    to.off('close', forget);
  });
}

function join(child: ChildProcess, maxBytes: number, sink: ChannelSink): UpstreamProcess {
  const { pid, stdin, stdout } = child;
  if (pid === undefined || stdin === null || stdout === null)
    throw new Error('a started process has no pipes');

  const gone = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => {
      // What the process started may outlive it and hold its pipes open; nothing of it may stay behind.
      signalGroup(pid, 'SIGKILL');
      resolve(signal === null ? `exited with code ${code}` : `was ended by ${signal}`);
    });
    child.on('error', () => {});
  });

  // Its streams may end a little before the process does: what is reported is how the process ended, if it does end.
  let closed = false;
  const close = (detail: string): void => {
    if (closed) return;
    closed = true;
    sink.closed(detail);
  };
  const channel = streamChannel(stdout, stdin, maxBytes, {
    message: (bytes) => sink.message(bytes),
    oversize: () => sink.oversize(),
    burst: () => sink.burst(),
    drained: () => sink.drained(),
    closed: (detail) => {
      // Answers may still be on their way where only its stdin broke, and its exit says more than the broken pipe.
      setTimeout(() => close(detail ?? 'closed its output'), EXIT_WAIT_MS).unref();
    },
  });
  void gone.then((how) => {
    if (child.stdout?.closed && child.stderr?.closed !== false) close(how);
    child.once('close', () => close(how));
    // A stream that something else holds open never ends.
    setTimeout(() => close(how), EXIT_WAIT_MS).unref();
  });

  return {
    channel,
    pid,
    gone,
    async stop(graceMs) {
      channel.end();
      if (await within(gone, graceMs)) return;
      signalGroup(pid, 'SIGTERM');
      if (await within(gone, graceMs)) return;
      signalGroup(pid, 'SIGKILL');
      await gone;
    },
    kill() {
      if (child.exitCode === null && child.signalCode === null) signalGroup(pid, 'SIGKILL');
    },
  };
}

/** How long the end of the process and the end of its streams may lie apart. */
const EXIT_WAIT_MS = 250;

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone already, which is what was wanted.
  }
}

async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const inTime = await Promise.race([promise.then(() => true as const), late]);
  clearTimeout(timer);
  return inTime;
}
