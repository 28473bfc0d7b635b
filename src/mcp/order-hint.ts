/**
 * Whether a message may be something other than a tool call, by a look at its bytes. A hint for the order of
 * forwarding and for nothing else: a call spelt oddly is only kept in order with the rest.
 */
const CALL = Buffer.from('"tools/call"');

export function mayBeOther(bytes: Buffer): boolean {
  return !bytes.includes(CALL);
}
