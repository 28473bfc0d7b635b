/**
 * What may be a tool name, and when two names look alike to a lenient server.
 */
export { foldName } from '../decision/fold.ts';

/** Names longer than this are judged only where the policy names them exactly. */
export const MAX_NAME_LENGTH = 1024;

const SPECIFIED = /^[A-Za-z0-9_.-]{1,128}$/;
/** The characters and length that the MCP specification gives tool names. */
export function isSpecifiedName(name: string): boolean {
  return SPECIFIED.test(name);
}

/** `*` is the policy's word for all tools, and an empty name is no name. */
export function isToolName(name: string): boolean {
  return name !== '' && name !== '*';
}
