/** The CEL environment of policies: the variables a rule may name, and the functions that CEL itself does not have. */
import { Environment } from '@marcbachmann/cel-js';
import { compileGlob } from '../glob.ts';
import { compileRegex } from '../regex.ts';
import { networkContains, networkOf } from './networks.ts';
import { absoluteSegments, extensionOf, folderOf, nameOf, segmentsOf, within } from './paths.ts';
import { stepsOf, valueAtPointer } from './pointers.ts';
import { hostIn, isPrivate, readUrl } from './urls.ts';
import type { CelMap, CelValue } from './values.ts';

// Classes, because the engine knows the types of objects by their constructors.
export class ToolView {
  readonly name: string;
  /** Absent where the server has not announced the tool: reading it then is an error. */
  readonly annotations?: CelMap;

  constructor(name: string, annotations: CelMap | null) {
    this.name = name;
    if (annotations !== null) this.annotations = annotations;
  }
}

export class ClientView {
  readonly name?: string;
  readonly version?: string;

  constructor(name: string | null, version: string | null) {
    if (name !== null) this.name = name;
    if (version !== null) this.version = version;
  }
}

export class SessionView {
  readonly id: string;
  readonly client: ClientView;
  readonly started: Date;

  constructor(id: string, client: ClientView, startedMs: number) {
    this.id = id;
    this.client = client;
    this.started = new Date(startedMs);
  }
}

class PathFunctions {}
class UrlFunctions {}
class NetworkFunctions {}

const MAX_COMPILED = 256;

/** Keeps what was compiled from a text. Bounded: a pattern may come from an argument. */
function compiled<T>(compile: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    const made = compile(text);
    if (known.size >= MAX_COMPILED) known.clear();
    known.set(text, made);
    return made;
  };
}

const patterns = compiled(compileRegex);
const globs = compiled((pattern: string) => compileGlob(pattern));

const texts = (list: unknown): string[] =>
  [...(list as Iterable<unknown>)].map((item) => {
    if (typeof item !== 'string') throw new TypeError('a list of strings is needed');
    return item;
  });

export const LINEAR_MATCHES = 'linearMatches';

const LIMITS = { maxAstNodes: 5_000, maxDepth: 100, maxListElements: 1_000, maxMapEntries: 1_000 };

export function createEnvironment(): Environment {
  const environment = new Environment({ homogeneousAggregateLiterals: false, limits: LIMITS });
  environment
    .registerType('Client', { ctor: ClientView, fields: { name: 'string', version: 'string' } })
    .registerType('Session', {
      ctor: SessionView,
      fields: { id: 'string', client: 'Client', started: 'google.protobuf.Timestamp' },
    })
    .registerType('Tool', { ctor: ToolView, fields: { name: 'string', annotations: 'map<string, dyn>' } })
    .registerVariable('args', 'map<string, dyn>')
    .registerVariable('tool', 'Tool')
    .registerVariable('server', 'string')
    .registerVariable('session', 'Session')
    .registerVariable('now', 'google.protobuf.Timestamp');
  const define = (signature: string, handler: (...args: never[]) => unknown): void => {
    environment.registerFunction(signature, handler as (...args: unknown[]) => unknown, { async: false });
  };
  // CEL's own `matches`, in linear time: the engine's hands the pattern to a matcher that can be made to hang, so every
  // call of it is turned into this one (expression.ts).
  define(`string.${LINEAR_MATCHES}(string): bool`, (text: string, pattern: string) =>
    patterns(pattern)(text),
  );
  define('glob(string, string): bool', (text: string, pattern: string) => globs(pattern)(text));
  define('globAny(string, list): bool', (text: string, list: unknown) =>
    texts(list).some((pattern) => globs(pattern)(text)),
  );
  define('pointer(dyn, string): dyn', (root: CelValue, pointer: string) => {
    const value = valueAtPointer(root, pointer);
    if (value === undefined) throw new Error('the pointer leads nowhere');
    return value;
  });
  define(
    'hasPointer(dyn, string): bool',
    (root: CelValue, pointer: string) => valueAtPointer(root, pointer) !== undefined,
  );

  environment.registerType('path', { ctor: PathFunctions, fields: {} });
  environment.registerConstant('path', 'path', new PathFunctions());
  define('path.within(string, string): bool', (_: unknown, p: string, root: string) => within(p, [root]));
  define('path.within(string, list): bool', (_: unknown, p: string, roots: unknown) =>
    within(p, texts(roots)),
  );
  define('path.within(string, string, string): bool', (_: unknown, p: string, root: string, base: string) =>
    within(p, [root], base),
  );
  define('path.within(string, list, string): bool', (_: unknown, p: string, roots: unknown, base: string) =>
    within(p, texts(roots), base),
  );
  define('path.name(string): string', (_: unknown, p: string) => nameOf(p));
  define('path.ext(string): string', (_: unknown, p: string) => extensionOf(p));
  define('path.dir(string): string', (_: unknown, p: string) => folderOf(p));
  define('path.segments(string): list<string>', (_: unknown, p: string) => segmentsOf(p));

  environment.registerType('url', { ctor: UrlFunctions, fields: {} });
  environment.registerConstant('url', 'url', new UrlFunctions());
  define('url.scheme(string): string', (_: unknown, u: string) => readUrl(u).scheme);
  define('url.host(string): string', (_: unknown, u: string) => readUrl(u).host);
  define('url.port(string): int', (_: unknown, u: string) => BigInt(readUrl(u).port));
  define('url.path(string): string', (_: unknown, u: string) => readUrl(u).path);
  define('url.query(string): string', (_: unknown, u: string) => readUrl(u).query);
  define('url.isPrivate(string): bool', (_: unknown, u: string) => isPrivate(u));
  define('url.hostIn(string, list): bool', (_: unknown, u: string, hosts: unknown) =>
    hostIn(u, texts(hosts)),
  );

  environment.registerType('cidr', { ctor: NetworkFunctions, fields: {} });
  environment.registerConstant('cidr', 'cidr', new NetworkFunctions());
  define('cidr.contains(string, string): bool', (_: unknown, network: string, ip: string) =>
    networkContains(network, ip),
  );
  define('cidr.containsAny(list, string): bool', (_: unknown, networks: unknown, ip: string) =>
    texts(networks).some((network) => networkContains(network, ip)),
  );
  return environment;
}

/** Constants that functions compile, by function and place of the argument: looked at when the file is read. */
export const CONSTANT_CHECKS: ReadonlyMap<string, (constant: string) => void> = new Map([
  [`${LINEAR_MATCHES} 0`, (pattern: string) => void compileRegex(pattern)],
  ['cidr.contains 0', (network: string) => void networkOf(network)],
  ['cidr.containsAny 0', (network: string) => void networkOf(network)],
  ['path.within 1', (root: string) => void absoluteSegments(root)],
  ['path.within 2', (base: string) => void absoluteSegments(base)],
  ['pointer 1', (pointer: string) => void stepsOf(pointer)],
  ['hasPointer 1', (pointer: string) => void stepsOf(pointer)],
]);
