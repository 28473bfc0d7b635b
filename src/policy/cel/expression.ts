/**
 * Expressions in CEL (cel.dev), parsed and held against the declared variables' types when a file is read, and
 * evaluated in the lanes. An expression answers true or false, or it throws: whoever asks denies then.
 */
import type { ASTNode, Environment, ParseResult } from '@marcbachmann/cel-js';
import type { Evaluable } from '../engines.ts';
import type { CallContext } from '../facts.ts';
import { Doubt } from './doubt.ts';
import {
  ClientView,
  CONSTANT_CHECKS,
  createEnvironment,
  LINEAR_MATCHES,
  SessionView,
  ToolView,
} from './environment.ts';
import { stepsOf } from './pointers.ts';
import { toMap } from './values.ts';

/** `from` and `to`: a half-open range of UTF-16 units in the source. */
export type ExpressionFault = { readonly message: string; readonly from: number; readonly to: number };

/** What is wrong with evaluating an expression for a call; says nothing of the call's values. */
export class ExpressionError extends Error {}

export const MAX_SOURCE_LENGTH = 8_192;
const MAX_MESSAGE = 300;

let shared: Environment | undefined;
const environment = (): Environment => {
  shared ??= createEnvironment();
  return shared;
};

export function checkExpression(source: string): ExpressionFault | null {
  const whole = { from: 0, to: source.length };
  if (source.length > MAX_SOURCE_LENGTH)
    return { message: `it is longer than ${MAX_SOURCE_LENGTH} characters`, ...whole };
  try {
    const parsed = parse(source);
    const checked = parsed.check();
    if (!checked.valid) return faultOf(checked.error, source);
    if (checked.type === 'bool' || checked.type === 'dyn') return null;
    return { message: `it is of type ${checked.type}, where true or false is needed`, ...whole };
  } catch (error) {
    return faultOf(error, source);
  }
}

/** @throws where the source is no expression that {@link checkExpression} accepts. */
export function prepareExpression(source: string): Evaluable {
  const fault = checkExpression(source);
  if (fault !== null) throw new ExpressionError(fault.message);
  const evaluate = parse(source);
  evaluate.check();
  const holds = (context: CallContext): boolean => {
    let value: unknown;
    try {
      value = evaluate(variablesOf(context));
    } catch (error) {
      // What the engine says may hold arguments; what a doubt says does not.
      throw new ExpressionError(error instanceof Doubt ? error.message : 'it cannot be evaluated');
    }
    if (value === true || value === false) return value;
    // FAIL-CLOSED: nothing is taken for true or false that is neither.
    throw new ExpressionError('it is neither true nor false');
  };
  return Object.assign(holds, { paths: argumentsNamedIn(evaluate.ast) });
}

/** Every `args.a.b`, `args["a"]` and `pointer(args, "/a")` of the text. */
function argumentsNamedIn(ast: ASTNode): string[][] {
  const paths: string[][] = [];
  visit(ast, (node) => {
    const path = argumentPath(node) ?? pointerPath(node);
    if (path !== null && path.length > 0) paths.push(path);
  });
  return paths;
}

function argumentPath(node: ASTNode): string[] | null {
  if (node.op === 'id') return node.args === 'args' ? [] : null;
  if (node.op !== '.' && node.op !== '[]') return null;
  const [holder, key] = node.args;
  const name = typeof key === 'string' ? key : key.op === 'value' ? key.args : null;
  const above = typeof name === 'string' ? argumentPath(holder) : null;
  return above === null ? null : [...above, name as string];
}

function pointerPath(node: ASTNode): string[] | null {
  if (node.op !== 'call' || (node.args[0] !== 'pointer' && node.args[0] !== 'hasPointer')) return null;
  const [root, pointer] = node.args[1];
  const above = root === undefined ? null : argumentPath(root);
  const text = pointer?.op === 'value' && typeof pointer.args === 'string' ? pointer.args : null;
  return above === null || text === null ? null : [...above, ...stepsOf(text)];
}

type Variables = {
  readonly args: unknown;
  readonly tool: ToolView;
  readonly server: string;
  readonly session: SessionView;
  readonly now: Date;
};

let lastContext: CallContext | undefined;
let lastVariables: Variables | undefined;

/** All expressions that judge one call see the same variables, made once. */
function variablesOf(context: CallContext): Variables {
  if (context === lastContext && lastVariables !== undefined) return lastVariables;
  const { args, tool, server, session, nowMs } = context;
  const client = new ClientView(session.clientName, session.clientVersion);
  lastVariables = {
    args: toMap(args),
    tool: new ToolView(tool.name, tool.annotations === null ? null : toMap(tool.annotations)),
    server,
    session: new SessionView(session.id, client, session.startedMs),
    now: new Date(nowMs),
  };
  lastContext = context;
  return lastVariables;
}

/** @throws what the engine throws on a text that is no CEL, and {@link ConstantFault}. */
function parse(source: string): ParseResult {
  const parsed = environment().parse(source);
  visit(parsed.ast, (node) => {
    if (node.op !== 'rcall' && node.op !== 'call') return;
    const args = node.args as [string, ...unknown[]];
    // INVARIANT: no pattern reaches the engine's own matcher.
    if (args[0] === 'matches') args[0] = LINEAR_MATCHES;
    checkConstants(node, args);
  });
  return parsed;
}

function visit(value: unknown, found: (node: ASTNode) => void, seen = new Set<unknown>()): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return;
  seen.add(value);
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) visit(item, found, seen);
    return;
  }
  const node = value as ASTNode;
  if (typeof node.op !== 'string') return;
  found(node);
  visit(node.args, found, seen);
}

class ConstantFault extends Error {
  readonly range: { readonly start: number; readonly end: number };

  constructor(message: string, range: { readonly start: number; readonly end: number }) {
    super(message);
    this.range = range;
  }
}

function checkConstants(node: ASTNode, args: readonly unknown[]): void {
  const receiver = node.op === 'rcall' ? (args[1] as ASTNode) : undefined;
  const name =
    receiver?.op === 'id' && LIBRARIES.has(receiver.args) ? `${receiver.args}.${args[0]}` : args[0];
  const given = (node.op === 'rcall' ? args[2] : args[1]) as readonly ASTNode[];
  for (const [i, argument] of given.entries()) {
    const check = CONSTANT_CHECKS.get(`${String(name)} ${i}`);
    if (check === undefined) continue;
    for (const constant of argument.op === 'list' ? argument.args : [argument]) {
      if (constant.op !== 'value' || typeof constant.args !== 'string') continue;
      try {
        check(constant.args);
      } catch (error) {
        throw new ConstantFault(error instanceof Error ? error.message : 'not usable', constant);
      }
    }
  }
}

const LIBRARIES: ReadonlySet<unknown> = new Set(['path', 'url', 'cidr']);

function faultOf(error: unknown, source: string): ExpressionFault {
  const { summary, message, range } = Object(error) as {
    summary?: string;
    message?: string;
    range?: { start: number; end: number };
  };
  const text = (summary ?? message ?? 'not an expression').split('\n')[0] ?? '';
  const from = Math.min(Math.max(range?.start ?? 0, 0), source.length);
  return {
    message: text.replaceAll(LINEAR_MATCHES, 'matches').slice(0, MAX_MESSAGE),
    from,
    to: Math.min(Math.max(range?.end ?? source.length, from), source.length),
  };
}
