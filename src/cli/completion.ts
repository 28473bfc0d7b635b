/**
 * `portcullis completion SHELL`: a completion script made from the command tree, so that it cannot fall behind the
 * flags. It completes commands, flags and the words a flag takes; elsewhere the shell's own file names.
 */
import type { Argument, Command, Option } from 'commander';

export type Shell = 'bash' | 'zsh' | 'fish';

export function completionScript(shell: Shell, program: Command): string {
  return { bash, zsh, fish }[shell](program);
}

type Flag = {
  readonly names: readonly string[];
  readonly about: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
};
type Sub = {
  readonly name: string;
  readonly about: string;
  readonly flags: readonly Flag[];
  readonly words: readonly string[];
};

const HELP: Flag = { names: ['-h', '--help'], about: 'show help', takesValue: false, choices: [] };

function flagOf(option: Option): Flag {
  const names = [option.short, option.long].filter((name) => name !== undefined && name !== null);
  const takesValue = option.required || option.optional;
  return { names, about: option.description, takesValue, choices: option.argChoices ?? [] };
}

function subsOf(program: Command): Sub[] {
  return program.commands.map((command) => ({
    name: command.name(),
    about: command.description(),
    flags: [...command.options.map(flagOf), HELP],
    words: command.registeredArguments.flatMap((argument: Argument) => argument.argChoices ?? []),
  }));
}

function topFlags(program: Command): Flag[] {
  return [...program.options.map(flagOf), HELP];
}

const names = (flags: readonly Flag[]): string => flags.flatMap((flag) => flag.names).join(' ');

function bash(program: Command): string {
  const cases = subsOf(program).map((sub) => {
    const byFlag = sub.flags
      .filter((flag) => flag.takesValue)
      .map((flag) => `        ${flag.names.join('|')}) words=${quote(flag.choices.join(' '))} ;;`);
    const all = [names(sub.flags), ...sub.words].join(' ');
    return [
      `    ${sub.name})`,
      '      case "$before" in',
      ...byFlag,
      `        *) words=${quote(all)} ;;`,
      '      esac ;;',
    ].join('\n');
  });
  const top = [...subsOf(program).map((sub) => sub.name), names(topFlags(program))].join(' ');
  return `# bash completion for portcullis: source <(portcullis completion bash)
_portcullis() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" words=''
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
    *) words=${quote(top)} ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _portcullis portcullis
`;
}

function zsh(program: Command): string {
  const cases = subsOf(program).map((sub) => {
    const flags = sub.flags.flatMap((flag) =>
      flag.names.map((name) => {
        const values = flag.choices.length > 0 ? `(${flag.choices.join(' ')})` : '_files';
        const takes = flag.takesValue ? `:value:${values}` : '';
        return `        ${quote(`${name}[${plain(flag.about)}]${takes}`)}`;
      }),
    );
    const rest = sub.words.length > 0 ? `*:word:(${sub.words.join(' ')})` : '*:file:_files';
    return [
      `    ${sub.name})`,
      '      _arguments \\',
      ...flags.map((flag) => `${flag} \\`),
      `        ${quote(rest)} ;;`,
    ].join('\n');
  });
  const commands = subsOf(program).map((sub) => `    ${quote(`${sub.name}:${plain(sub.about)}`)}`);
  return `#compdef portcullis
# zsh completion for portcullis: portcullis completion zsh > a folder of $fpath, as _portcullis
_portcullis() {
  local -a commands=(
${commands.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command="\${words[2]}"
  shift words
  (( CURRENT-- ))
  case "$command" in
${cases.join('\n')}
  esac
}
# Autoloaded from a folder of $fpath, or sourced.
if [ "$funcstack[1]" = _portcullis ]; then _portcullis "$@"; else compdef _portcullis portcullis; fi
`;
}

function fish(program: Command): string {
  const subs = subsOf(program);
  const line = (when: string, rest: string): string => `complete -c portcullis -n ${quote(when)} ${rest}`;
  const flagLines = (when: string, flags: readonly Flag[]): string[] =>
    flags.map((flag) => {
      const shown = flag.names.map((name) =>
        name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
      );
      const choices = flag.choices.length > 0 ? ` -x -a ${quote(flag.choices.join(' '))}` : ' -r';
      const takes = flag.takesValue ? choices : '';
      return line(when, `${shown.join(' ')}${takes} -d ${quote(plain(flag.about))}`);
    });
  const lines = [
    '# fish completion for portcullis: portcullis completion fish | source',
    ...subs.map((sub) => line('__fish_use_subcommand', `-a ${sub.name} -d ${quote(plain(sub.about))}`)),
    ...flagLines('__fish_use_subcommand', topFlags(program)),
    ...subs.flatMap((sub) => {
      const when = `__fish_seen_subcommand_from ${sub.name}`;
      const words = sub.words.length > 0 ? [line(when, `-f -a ${quote(sub.words.join(' '))}`)] : [];
      return [...flagLines(when, sub.flags), ...words];
    }),
  ];
  return `${lines.join('\n')}\n`;
}

/** Brackets, colons and quotes mean something in one shell or another; descriptions do without them. */
function plain(text: string): string {
  return text
    .replace(/[[\]:'"`\\$]/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}

function quote(text: string): string {
  return `'${text.replaceAll("'", '')}'`;
}
