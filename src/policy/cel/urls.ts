/**
 * URLs in arguments, read by the WHATWG parser. What other parsers are known to read otherwise is a {@link doubt}.
 * Names are not resolved: a public name may lead to a private address (docs/expressions.md).
 */
import { isIP } from 'node:net';
import { doubt } from './doubt.ts';
import { isSpecial } from './networks.ts';

const MAX_LENGTH = 8_192;
// biome-ignore lint/suspicious/noControlCharactersInRegex: parsers drop them, or stop at them
const ODD = /[\u0000-\u0020\u007f-\u00a0\\\p{Cf}\p{Zs}\p{Zl}\p{Zp}]/u;
const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, ws: 80, wss: 443, ftp: 21 };

export type ReadUrl = {
  /** Without its colon, in lower case. */
  readonly scheme: string;
  /** In lower case, without the brackets of an IPv6 address and without a last dot. */
  readonly host: string;
  /** The scheme's own where none is given; -1 where neither is known. */
  readonly port: number;
  readonly path: string;
  readonly query: string;
};

export function readUrl(text: string): ReadUrl {
  if (text.length > MAX_LENGTH) doubt(`a URL longer than ${MAX_LENGTH} characters`);
  if (ODD.test(text)) doubt('a space, backslash, control or invisible character in a URL');
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)/.exec(text);
  if (match === null) doubt('not a URL with a scheme, "://" and a host');
  const authority = match[2] as string;
  if (authority.includes('@')) doubt('a user name in a URL, which hides its host');
  // To some parsers the host ends only at a slash, and what stands behind the last "@" before it is the host.
  if (/^[?#][^/]*@/.test(text.slice(match[0].length))) doubt('an "@" behind a host without a slash');
  if (authority.includes('%')) doubt('an encoded character in the host of a URL');
  if (/[^\u0021-\u007e]/.test(authority)) doubt('a host that is not ASCII; write it in its xn-- form');
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return doubt('not a URL');
  }
  const given = authority.replace(/:\d*$/, '').toLowerCase();
  const host = url.hostname.toLowerCase();
  const bare = host.replace(/^\[|\]$/g, '');
  // 0x7f.1 and 2130706433 are 127.0.0.1 to some and names to others.
  if (isIP(bare) === 4 && given !== bare && given !== `${bare}.`)
    doubt('an IP address in an unusual spelling');
  if (isIP(bare) === 0 && /(?:^|\.)(?:0x[0-9a-f]*|\d+)\.?$/.test(bare)) doubt('a host that ends in a number');
  if (bare === '') doubt('a URL without a host');
  const scheme = url.protocol.slice(0, -1).toLowerCase();
  return {
    scheme,
    host: bare.replace(/\.$/, ''),
    port: url.port === '' ? (DEFAULT_PORTS[scheme] ?? -1) : Number(url.port),
    path: url.pathname,
    query: url.search.replace(/^\?/, ''),
  };
}

const LOCAL_NAMES =
  /(?:^|\.)(?:localhost|localdomain|local|internal|intranet|lan|home|corp|private|home\.arpa|test|invalid|example|onion)$/;

/** An address, or a name, that is not on the public internet; a name without a dot is not. */
export function isPrivate(text: string): boolean {
  const { host } = readUrl(text);
  if (isIP(host) !== 0) return isSpecial(host);
  return !host.includes('.') || LOCAL_NAMES.test(host);
}

/** Patterns: a host, or `*.` and the domain that hosts must be below. */
export function hostIn(text: string, patterns: readonly string[]): boolean {
  const { host } = readUrl(text);
  return patterns.some((pattern) => {
    const wanted = pattern.toLowerCase();
    if (!wanted.startsWith('*.')) return host === wanted;
    return isIP(host) === 0 && host.endsWith(wanted.slice(1)) && host.length > wanted.length - 1;
  });
}
