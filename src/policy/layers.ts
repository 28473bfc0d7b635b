/**
 * Several policies for one server, the first given standing above the others: a call passes only if each of them lets it
 * pass, so a later one can only narrow what an earlier one allows. The first that denies gives the denial; what all of
 * them ask of counters is asked together.
 */
import type { Ruling } from '../decision/verdict.ts';
import type { Engines } from './engines.ts';
import {
  type Call,
  evaluate,
  isVisible,
  type NameStanding,
  type Needs,
  nameStanding,
  needs,
  type PreparedPolicy,
  prepare,
} from './evaluate.ts';
import { type Layer, layersOf, type PolicyProgram } from './program.ts';

export type PreparedLayers = readonly PreparedPolicy[];

export function prepareLayers(program: PolicyProgram, enginesOf: (layer: Layer) => Engines): PreparedLayers {
  const layers = layersOf(program);
  let rules = 0;
  return layers.map((layer) => {
    const before = rules;
    rules += layer.program.tools.reduce((sum, tool) => sum + tool.rules.length, 0);
    const policy = layers.length === 1 ? {} : { policy: layer.policy };
    return prepare(layer.program, enginesOf(layer), { ...policy, before });
  });
}

export function evaluateLayers(layers: PreparedLayers, call: Call, cursor?: Int32Array): Ruling {
  if (layers.length === 1) return evaluate(layers[0] as PreparedPolicy, call, cursor);
  const rulings: Extract<Ruling, { effect: 'allow' }>[] = [];
  for (const layer of layers) {
    const ruling = evaluate(layer, call, cursor);
    if (ruling.effect === 'allow') {
      rulings.push(ruling);
      continue;
    }
    const before = rulings.flatMap(({ obligations }) => obligations.filter(({ kind }) => kind === 'read'));
    return { ...ruling, earlier: [...before, ...ruling.earlier] };
  }
  // FAIL-CLOSED: what no policy was asked about is allowed by none.
  if (rulings.length === 0 || rulings.length !== layers.length)
    return {
      effect: 'deny',
      denial: { reason: 'evaluation_error', message: 'no policy was asked about the call' },
      earlier: [],
    };
  const all = rulings.flatMap(({ obligations }) => obligations);
  return {
    effect: 'allow',
    obligations: [...all.filter(({ kind }) => kind === 'read'), ...all.filter(({ kind }) => kind !== 'read')],
  };
}

export function isVisibleIn(layers: PreparedLayers, tool: string): boolean {
  return layers.every((layer) => isVisible(layer, tool));
}

export function standingIn(layers: PreparedLayers, tool: string): NameStanding {
  if (layers.length === 1) return nameStanding(layers[0] as PreparedPolicy, tool);
  const standings = layers.map((layer) => nameStanding(layer, tool));
  // FAIL-CLOSED: a name that one policy takes for a look-alike stays one, whatever the others say.
  if (standings.includes('look_alike')) return 'look_alike';
  return standings.includes('named') ? 'named' : 'other';
}

export function needsOf(layers: PreparedLayers, tool: string): Needs {
  if (layers.length === 1) return needs(layers[0] as PreparedPolicy, tool);
  const all = layers.map((layer) => needs(layer, tool));
  return { facts: all.some(({ facts }) => facts), announced: all.some(({ announced }) => announced) };
}
