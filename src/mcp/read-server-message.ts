/**
 * What a message from the upstream server is. The protocol's own members are read strictly; everything else is
 * checked to be JSON in UTF-8 and left alone. A tool list is recognised by what it is, whatever message carries it.
 * Never throws a JsonFault.
 */
import type { ListedTool } from '../decision/session-facts.ts';
import type { RequestId, ServerReading, ToolListing } from '../decision/verdict.ts';
import { idOf, readId, refuseLookAlike, TOP_KEYS, wordsOf } from './envelope.ts';
import { decode, fault, JsonFault, JsonReader, SeenKeys } from './json.ts';
import type { ReadLimits } from './limits.ts';

const RESULT_KEYS = wordsOf('tools', 'resultType', 'nextCursor');
const TOOL_KEYS = wordsOf('name', 'annotations', 'inputSchema');
const PARAMS_KEYS = wordsOf('requestId', 'progressToken', '_meta');

type Span = readonly [start: number, end: number];
type Tool = {
  readonly name: string | null;
  readonly start: number;
  readonly end: number;
  /** Where their JSON stands in the text. */
  readonly annotations: Span | null;
  readonly inputSchema: Span | null;
};

type Parts = {
  id: RequestId | null | undefined;
  jsonrpc?: string;
  method?: string;
  outcome?: 'result' | 'error' | 'input_required';
  tools?: readonly Tool[];
  nextCursor?: string;
  cancels?: RequestId;
  progress?: RequestId;
  metaToken?: RequestId;
};

export function readServerMessage(
  bytes: Uint8Array,
  _limits: ReadLimits,
  isVisible: (tool: string) => boolean,
): ServerReading {
  const parts: Parts = { id: undefined };
  try {
    const reader = new JsonReader(decode(bytes));
    readMembers(reader, parts);
    reader.end();
    return classify(parts, reader.text, bytes.length, isVisible);
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    return {
      kind: 'malformed',
      message: error.message,
      // Only to end the wait of who asked: with the text at fault, the id is the best that is known.
      ...(typeof parts.id === 'string' && parts.method === undefined ? { id: parts.id } : {}),
    };
  }
}

function readMembers(reader: JsonReader, parts: Parts): void {
  const seen = new SeenKeys();
  reader.members((key) => {
    seen.add(key);
    refuseLookAlike(key, TOP_KEYS, 'the message');
    switch (key) {
      case 'jsonrpc':
        parts.jsonrpc = reader.peek() === 'string' ? reader.string() : fault('a "jsonrpc" that is not "2.0"');
        return;
      case 'id':
        reader.space();
        parts.id = readId(reader) ?? null;
        return;
      case 'method':
        parts.method = reader.peek() === 'string' ? reader.string() : fault('a "method" that is no string');
        return;
      case 'params':
        return readParams(reader, parts);
      case 'result':
        return readResult(reader, parts);
      case 'error':
        if (parts.outcome !== undefined) fault('a result and an error at once');
        if (reader.peek() !== 'object') fault('an "error" that is no object');
        parts.outcome = 'error';
        return reader.skip();
      default:
        return reader.skip();
    }
  });
}

function readParams(reader: JsonReader, parts: Parts): void {
  if (reader.peek() !== 'object') fault('"params" that are no object');
  const seen = new SeenKeys();
  reader.members((key) => {
    if (!PARAMS_KEYS.byFolded.has(key.toLowerCase())) return reader.skip();
    refuseLookAlike(key, PARAMS_KEYS, 'params');
    seen.add(key);
    if (key === 'requestId') assign(parts, 'cancels', idOf(reader.value()));
    else if (key === 'progressToken') assign(parts, 'progress', idOf(reader.value()));
    else if (reader.peek() === 'object') assign(parts, 'metaToken', idOf(reader.object()['progressToken']));
    else fault('a "_meta" that is no object');
  });
}

function assign(parts: Parts, field: 'cancels' | 'progress' | 'metaToken', id: RequestId | undefined): void {
  if (id !== undefined) parts[field] = id;
}

function readResult(reader: JsonReader, parts: Parts): void {
  if (parts.outcome !== undefined) fault('a result and an error at once');
  parts.outcome = 'result';
  if (reader.peek() !== 'object') fault('a "result" that is no object');
  const seen = new SeenKeys();
  reader.members((key) => {
    refuseLookAlike(key, RESULT_KEYS, 'the result');
    if (key !== 'tools' && key !== 'resultType' && key !== 'nextCursor') return reader.skip();
    seen.add(key);
    if (key === 'resultType') {
      if (reader.value() === 'input_required') parts.outcome = 'input_required';
    } else if (key === 'nextCursor') {
      if (reader.peek() === 'string') parts.nextCursor = reader.string();
      else reader.skip();
    } else if (reader.peek() === 'list') parts.tools = readTools(reader);
    else reader.skip();
  });
}

function readTools(reader: JsonReader): readonly Tool[] {
  const tools: Tool[] = [];
  reader.elements(() => {
    const start = reader.at;
    let tool: Omit<Tool, 'start' | 'end'> = NO_TOOL;
    if (reader.peek() === 'object') tool = readTool(reader);
    else reader.skip();
    tools.push({ ...tool, start, end: reader.at });
  });
  return tools;
}

const NO_TOOL = { name: null, annotations: null, inputSchema: null };

/** FAIL-CLOSED: a tool that cannot be read without doubt has no name, and is hidden. */
function readTool(reader: JsonReader): Omit<Tool, 'start' | 'end'> {
  let name: string | null = null;
  let annotations: Span | null = null;
  let inputSchema: Span | null = null;
  let doubt = false;
  reader.members((key) => {
    if (key === 'name') {
      if (name !== null) doubt = true;
      if (reader.peek() === 'string') {
        name = reader.string();
        return;
      }
      doubt = true;
    } else {
      try {
        refuseLookAlike(key, TOOL_KEYS, 'a tool');
      } catch {
        doubt = true;
      }
    }
    reader.space();
    const start = reader.at;
    reader.skip();
    if (key === 'annotations') {
      doubt ||= annotations !== null;
      annotations = [start, reader.at];
    } else if (key === 'inputSchema') {
      doubt ||= inputSchema !== null;
      inputSchema = [start, reader.at];
    }
  });
  return doubt ? NO_TOOL : { name, annotations, inputSchema };
}

function classify(
  parts: Parts,
  text: string,
  byteLength: number,
  isVisible: (tool: string) => boolean,
): ServerReading {
  const { id, method, outcome, cancels, progress } = parts;
  if (parts.jsonrpc !== '2.0') fault('a "jsonrpc" that is not "2.0"');
  if (id === null) {
    parts.id = undefined;
    fault('an id that is neither a string nor a whole number');
  }
  if (method !== undefined) {
    if (outcome !== undefined) fault('a method and a result at once');
    if (id !== undefined)
      return {
        kind: 'request',
        id,
        method,
        ...(parts.metaToken === undefined ? {} : { progressToken: parts.metaToken }),
      };
    return {
      kind: 'notification',
      method,
      ...(cancels !== undefined && method === 'notifications/cancelled' ? { cancels } : {}),
      ...(progress !== undefined && method === 'notifications/progress' ? { progressToken: progress } : {}),
    };
  }
  if (outcome === undefined) return fault('neither a method nor a result nor an error');
  if (id === undefined) return fault('an answer without an id');
  if (parts.tools === undefined) return { kind: 'response', id, outcome };
  const listing = listingOf(parts.tools, text, byteLength, isVisible);
  const { nextCursor } = parts;
  return { kind: 'response', id, outcome, listing, ...(nextCursor === undefined ? {} : { nextCursor }) };
}

function listingOf(
  tools: readonly Tool[],
  text: string,
  byteLength: number,
  isVisible: (tool: string) => boolean,
): ToolListing {
  const names: string[] = [];
  const listed: ListedTool[] = [];
  const spelling = (span: Span | null): string | null => (span === null ? null : text.slice(...span));
  const cuts: [number, number][] = [];
  // In ASCII a character is a byte; otherwise the bytes before each cut are counted once, going forward.
  const ascii = text.length === byteLength;
  let countedTo = 0;
  let counted = 0;
  const byteAt = (index: number): number => {
    if (ascii) return index;
    counted += Buffer.byteLength(text.slice(countedTo, index));
    countedTo = index;
    return counted;
  };
  const visible = tools.map(({ name }) => name !== null && isVisible(name));
  let hidden = 0;
  for (let i = 0; i < tools.length; ) {
    const tool = tools[i];
    if (tool === undefined) break;
    if (visible[i] === true && tool.name !== null) {
      names.push(tool.name);
      listed.push({
        name: tool.name,
        annotations: spelling(tool.annotations),
        inputSchema: spelling(tool.inputSchema),
      });
      i += 1;
      continue;
    }
    let last = i;
    while (last + 1 < tools.length && visible[last + 1] !== true) last += 1;
    hidden += last - i + 1;
    const next = tools[last + 1];
    const before = tools[i - 1];
    const end = tools[last]?.end ?? tool.end;
    // The comma goes with the cut: the one behind it, or at the list's end the one before.
    if (next !== undefined) cuts.push([byteAt(tool.start), byteAt(next.start)]);
    else cuts.push([byteAt(before?.end ?? tool.start), byteAt(end)]);
    i = last + 1;
  }
  return { names, tools: listed, cuts, hidden };
}
