import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LineFramer } from '../../src/transport/line-framer.ts';

function frame(chunks: readonly Uint8Array[], maxBytes = 1000): { lines: string[]; oversize: number } {
  const lines: Buffer[] = [];
  let oversize = 0;
  const framer = new LineFramer(maxBytes, {
    line: (bytes) => lines.push(bytes),
    oversize: () => {
      oversize += 1;
    },
  });
  for (const chunk of chunks) framer.push(Buffer.from(chunk));
  framer.end();
  // Looked at only now: a line must not change after it was handed out.
  return { lines: lines.map(String), oversize };
}

test('lines are split at line feeds, blank ones are passed over, an unfinished one is dropped', () => {
  assert.deepEqual(frame([Buffer.from('{"a":1}\n\n \t\r\n{"b":2}\r\n{"c"')]).lines, ['{"a":1}', '{"b":2}\r']);
});

test('any chunking of a stream yields the same lines', () => {
  const piece = fc.constantFrom('a', 'bc', '\n', '\r\n', ' ', 'é', 'x'.repeat(40));
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 60 }),
      fc.array(fc.nat(7), { minLength: 1 }),
      (pieces, sizes) => {
        const bytes = Buffer.from(pieces.join(''));
        const chunks: Buffer[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = (sizes[i % sizes.length] ?? 0) + 1;
          chunks.push(bytes.subarray(at, at + size));
          at += size;
        }
        assert.deepEqual(frame(chunks, 64), frame([bytes], 64));
      },
    ),
    { numRuns: 1000 },
  );
});

test('a line of just the cap passes; a longer one is told of once and skipped, however it comes', () => {
  const good = Buffer.from('ok\n');
  assert.deepEqual(frame([Buffer.from(`${'x'.repeat(10)}\n`)], 10), { lines: ['x'.repeat(10)], oversize: 0 });
  for (const size of [1, 3, 100]) {
    const long = Buffer.from(`${'x'.repeat(35)}\n`);
    const chunks: Buffer[] = [];
    for (let at = 0; at < long.length; at += size) chunks.push(long.subarray(at, at + size));
    assert.deepEqual(frame([...chunks, good], 10), { lines: ['ok'], oversize: 1 });
  }
});

test('a line that comes a byte at a time costs no more than in proportion to its length', () => {
  const line = Buffer.alloc(1 << 20, 'y');
  const lines: number[] = [];
  const framer = new LineFramer(1 << 20, { line: (bytes) => lines.push(bytes.length), oversize: () => {} });
  // Copying all that came before with each byte would be half a terabyte here, and never end.
  for (let i = 0; i < line.length; i++) framer.push(line.subarray(i, i + 1));
  framer.push(Buffer.from('\n'));
  assert.deepEqual(lines, [1 << 20]);
});
