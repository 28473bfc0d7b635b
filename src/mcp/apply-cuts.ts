/** A message less the tools that the policy hides; every other byte stays as it came. */
import type { ToolListing } from '../decision/verdict.ts';

export function applyCuts(bytes: Buffer, listing: ToolListing): Buffer {
  if (listing.cuts.length === 0) return bytes;
  const kept: Buffer[] = [];
  let at = 0;
  for (const [from, to] of listing.cuts) {
    kept.push(bytes.subarray(at, from));
    at = to;
  }
  kept.push(bytes.subarray(at));
  return Buffer.concat(kept);
}
