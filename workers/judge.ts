/**
 * What a lane does with a message: reads it strictly and, where it is a tool call, has the policy rule on it. Pure,
 * but for the faults that an operator rehearses. Whatever it throws is a failed evaluation.
 */
import type { SessionDescription } from '../src/decision/session-facts.ts';
import type { ServerReading, Verdict } from '../src/decision/verdict.ts';
import type { JobKind } from '../src/gate/ports.ts';
import { type AgentCall, readAgentMessage } from '../src/mcp/read-agent-message.ts';
import { readServerMessage } from '../src/mcp/read-server-message.ts';
import type { Engines } from '../src/policy/engines.ts';
import {
  evaluateLayers,
  isVisibleIn,
  needsOf,
  type PreparedLayers,
  prepareLayers,
  standingIn,
} from '../src/policy/layers.ts';
import {
  holdsExpressions,
  type Layer,
  layersOf,
  type PolicyProgram,
  type Program,
} from '../src/policy/program.ts';
import { compileRegex } from '../src/policy/regex.ts';
import { isSpecifiedName } from '../src/policy/tool-name.ts';
import { type Injection, type Injections, REHEARSES_OUT_OF_MEMORY } from '../src/pool/wire.ts';
import { factsOf } from './facts.ts';
import type { IsSuspect, LaneJudge } from './serve-lane.ts';
import { Workshop } from './workshop.ts';

type Loaded = { readonly policy: PreparedLayers; readonly injections: ReadonlyMap<string, Injection> };

export function createJudge(): LaneJudge {
  const policies = new Map<number, Loaded>();
  const workshop = new Workshop();
  const loaded = (handle: number): Loaded => {
    const found = policies.get(handle);
    // FAIL-CLOSED: no policy, no judgement.
    if (found === undefined) throw new Error('no policy of that handle');
    return found;
  };
  return {
    load(handle: number, given: unknown, injections: Injections) {
      // INVARIANT: only programs that the policy room compiled are loaded.
      const program = given as PolicyProgram;
      const use = (enginesOf: (layer: Layer) => Engines): void => {
        const policy = prepareLayers(program, enginesOf);
        policies.set(handle, { policy, injections: new Map(Object.entries(injections)) });
      };
      const layers = layersOf(program);
      if (layers.every((layer) => isPlain(layer.program))) return use(() => ({ compileRegex }));
      return enginesFor(layers, workshop).then((engines) =>
        use(({ program: own }) => engines.get(own) ?? { compileRegex }),
      );
    },
    mend: () => (workshop.isBroken ? workshop.mend() : undefined),
    unload: (handle) => void policies.delete(handle),
    judge(kind: JobKind, bytes, handle: number, isSuspect, cursor, about) {
      if (kind === 'server') return readServer(bytes, loaded(handle).policy);
      const reading = readAgentMessage(bytes, {});
      if (reading.kind !== 'call') return reading;
      // To know whom to answer, after the policy went.
      // FAIL-CLOSED: nothing says that it is no look-alike, which no fail mode lets through: the server's list has to.
      if (kind === 'read' && handle === 0) return verdictOn(reading, true);
      return judgeCall(reading, kind, loaded(handle), isSuspect, cursor, about);
    },
  };
}

/** Whether it is judged without any engine but that of patterns. */
function isPlain(program: Program): boolean {
  return !holdsExpressions(program) && program.checks === undefined;
}

/** Loaded with the first policy that needs them: each costs a lane some megabytes. */
async function enginesFor(layers: readonly Layer[], workshop: Workshop): Promise<Map<Program, Engines>> {
  const all = new Map<Program, Engines>();
  for (const { program } of layers) {
    let engines: Engines = { compileRegex };
    if (holdsExpressions(program)) {
      const { prepareExpression } = await import('../src/policy/cel/expression.ts');
      engines = { ...engines, compileExpression: prepareExpression };
    }
    if (program.checks !== undefined) engines = { ...engines, runCheck: await workshop.open(program.checks) };
    all.set(program, engines);
  }
  return all;
}

function readServer(bytes: Uint8Array, policy: PreparedLayers): ServerReading {
  return readServerMessage(bytes, {}, (tool) => isVisibleIn(policy, tool));
}

function verdictOn({ args: _, ...call }: AgentCall, unusual: boolean): Extract<Verdict, { kind: 'call' }> {
  return unusual ? { ...call, unusualName: true } : call;
}

function judgeCall(
  call: AgentCall,
  kind: 'judge' | 'read',
  { policy, injections }: Loaded,
  isSuspect: IsSuspect,
  cursor: Int32Array,
  about: SessionDescription | undefined,
): Verdict {
  const standing = standingIn(policy, call.tool);
  if (standing === 'look_alike')
    return {
      kind: 'malformed',
      reason: 'malformed_message',
      code: -32602,
      message:
        'The tool name is not one that the policy names, but some servers would take it for one: it differs only by case, spaces or Unicode form, or is no name. Use the exact name from the tool list.',
      ...(call.id === null ? {} : { id: call.id }),
      tool: call.tool,
    };
  const unusual = standing === 'other' && !isSpecifiedName(call.tool);
  if (kind === 'read') return verdictOn(call, unusual);
  if (isSuspect(call.tool)) return { ...verdictOn(call, unusual), suspect: 'probation' };
  if (injections.size > 0) {
    const injection = injections.get(call.tool);
    if (injection !== undefined) rehearse(injection, cursor);
  }
  const asks = needsOf(policy, call.tool);
  if (asks.announced && about?.tools === null) return { ...verdictOn(call, unusual), unannounced: true };
  const known = asks.facts ? { ...call, facts: factsOf(about, call.tool) } : call;
  const ruling = evaluateLayers(policy, known, cursor);
  if (!unusual && call.task === undefined && call.progressToken === undefined)
    return { kind: 'call', id: call.id, tool: call.tool, ruling };
  return { ...verdictOn(call, unusual), ruling };
}

/** Brings the fault about for real: what is rehearsed is what would happen. */
function rehearse(injection: Injection, cursor: Int32Array): void {
  switch (injection) {
    case 'hang':
      for (;;);
    case 'crash':
      process.exit(1);
      return;
    case 'throw':
      throw new Error('a rehearsed error');
    case 'oom': {
      cursor[0] = REHEARSES_OUT_OF_MEMORY;
      const hoard: unknown[] = [];
      // Steps small enough that the worker is ended and not the process.
      for (;;) hoard.push(new Array(1 << 17).fill(hoard.length));
    }
  }
}
