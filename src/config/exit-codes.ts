/** The exit codes of every command: sysexits(3) where it has a word for it. The README's table is tested against this one. */

export const EXIT = { OK: 0, USAGE: 64, UNAVAILABLE: 69, INTERNAL: 70, CONFIG: 78 } as const;

export type ExitCode = {
  readonly code: number;
  readonly name: string;
  readonly meaning: string;
};

export const EXIT_CODES: readonly ExitCode[] = [
  { code: EXIT.OK, name: 'ok', meaning: 'done: the agent closed its end, or a first signal was obeyed' },
  { code: EXIT.USAGE, name: 'usage', meaning: 'the command line is wrong; nothing was started' },
  {
    code: EXIT.UNAVAILABLE,
    name: 'unavailable',
    meaning: 'the upstream server could not start, or ended by itself',
  },
  {
    code: EXIT.INTERNAL,
    name: 'internal',
    meaning: 'a fault inside Portcullis; the upstream is stopped with it',
  },
  {
    code: EXIT.CONFIG,
    name: 'config',
    meaning: 'a policy or setting is missing or invalid; the upstream was never started',
  },
  { code: 130, name: 'interrupted', meaning: 'stopped at once by a second signal, the first being SIGINT' },
  { code: 143, name: 'terminated', meaning: 'stopped at once by a second signal, the first being SIGTERM' },
];
