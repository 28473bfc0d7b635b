/** What a lane knows of a session, ready for the policy. */
import type { SessionDescription } from '../src/decision/session-facts.ts';
import type { JsonObject } from '../src/decision/value.ts';
import { decode, JsonReader } from '../src/mcp/json.ts';
import { type AnnouncedTool, type Facts, NO_FACTS } from '../src/policy/facts.ts';

type Tools = ReadonlyMap<string, () => AnnouncedTool>;

/** Descriptions are replaced and never changed, so what was made of one holds as long as it does. */
const known = new WeakMap<SessionDescription, Tools | null>();

export function factsOf(about: SessionDescription | undefined, tool: string): Facts {
  if (about === undefined) return { ...NO_FACTS, nowMs: Date.now() };
  const { server, session } = about;
  return { server, session, nowMs: Date.now(), announced: toolsOf(about)?.get(tool)?.() ?? null };
}

function toolsOf(about: SessionDescription): Tools | null {
  let tools = known.get(about);
  if (tools === undefined) {
    tools = about.tools === null ? null : read(about.tools);
    known.set(about, tools);
  }
  return tools;
}

function read(listed: NonNullable<SessionDescription['tools']>): Tools {
  const tools = new Map<string, () => AnnouncedTool>();
  const twice = new Set<string>();
  for (const { name, annotations, inputSchema } of listed) {
    if (tools.has(name)) twice.add(name);
    let made: AnnouncedTool | undefined;
    tools.set(name, () => {
      made ??= { annotations: objectOf(annotations), inputSchema: objectOf(inputSchema) };
      return made;
    });
  }
  // FAIL-CLOSED: of a name that the server lists twice nobody knows which is meant.
  for (const name of twice) tools.delete(name);
  return tools;
}

/** null for what is no object that every reader reads alike. */
function objectOf(json: string | null): JsonObject | null {
  if (json === null) return null;
  try {
    const reader = new JsonReader(decode(Buffer.from(json)));
    if (reader.peek() !== 'object') return null;
    const object = reader.object();
    reader.end();
    return object;
  } catch {
    return null;
  }
}
