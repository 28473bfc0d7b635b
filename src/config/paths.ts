/** Where Portcullis keeps what must outlive the process. */
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** `$XDG_STATE_HOME/portcullis`, by default `~/.local/state/portcullis` (XDG Base Directory Specification). */
export function defaultStateDir(env: NodeJS.ProcessEnv): string {
  const base = env['XDG_STATE_HOME'];
  // The specification says that a relative path there is to be ignored.
  if (base !== undefined && isAbsolute(base)) return join(base, 'portcullis');
  return join(homedir(), '.local', 'state', 'portcullis');
}
