/**
 * Says that a policy file may have changed. Editors replace files, clusters swap the folder behind a symbolic link,
 * files go away and come back: so the path's own identity is compared again and again, and a file system watch only
 * makes that happen sooner.
 */
import { type BigIntStats, type FSWatcher, stat, statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

export type WatchOptions = {
  /** Between two looks at the file. */
  readonly pollMs?: number;
  /** Quiet time after a change before it is announced, so that a file is not read half written. */
  readonly settleMs?: number;
};

export type PolicyWatch = {
  /** Looks at once; settles when the look is over. */
  check(): Promise<void>;
  close(): void;
};

const DEFAULT_POLL_MS = 2_000;
const DEFAULT_SETTLE_MS = 100;

/**
 * `onChange` is called once for a burst of changes since this call: watch first, then load. The file need not exist.
 * Nothing here keeps the process alive.
 */
export function watchPolicy(path: string, onChange: () => void, options: WatchOptions = {}): PolicyWatch {
  const settleMs = options.settleMs ?? DEFAULT_SETTLE_MS;
  let known = identityNow(path);
  let settling: NodeJS.Timeout | undefined;
  let closed = false;

  const check = (): Promise<void> =>
    new Promise((resolve) => {
      stat(path, { bigint: true }, (error, found) => {
        const identity = error === null ? identityOf(found) : NOT_THERE;
        if (!closed && known !== identity) announce();
        known = identity;
        resolve();
      });
    });
  const announce = () => {
    clearTimeout(settling);
    settling = setTimeout(onChange, settleMs).unref();
  };
  const polling = setInterval(check, options.pollMs ?? DEFAULT_POLL_MS).unref();
  const watcher = watchFolder(dirname(path), basename(path), () => void check());
  return {
    check,
    close: () => {
      closed = true;
      clearInterval(polling);
      clearTimeout(settling);
      watcher?.close();
    },
  };
}

// A file that cannot be looked at is a state of its own: its return is a change.
const NOT_THERE = 'not there';

function identityOf(found: BigIntStats): string {
  return [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
}

function identityNow(path: string): string {
  try {
    return identityOf(statSync(path, { bigint: true }));
  } catch {
    // Whatever the reason: once it can be looked at, that is a change.
    return NOT_THERE;
  }
}

/** The folder rather than the file: a watch on a file follows the file away when an editor replaces it. */
function watchFolder(folder: string, name: string, look: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, (_event, changed) => {
      // Kubernetes swaps a link called ..data beside the file's own link.
      if (changed === null || changed === name || changed.startsWith('..')) look();
    });
    // Polling goes on without it.
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    // No watch, for want of a folder or of handles: polling alone finds every change.
    return undefined;
  }
}
