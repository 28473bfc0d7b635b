/**
 * `npm test [-- WORD...]`: runs the compiled test files, two at a time, each in a process of its own, and ends with one
 * line that says how many tests passed and failed. It lists the files itself, since not every supported Node expands a
 * pattern, and `node --test` would take fixtures and child programs for tests. WORDs choose the files that hold one.
 */
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative, sep } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

/** For one file; a test that hangs must not hang the run. */
const FILE_TIMEOUT_MS = 300_000;

const root = fileURLToPath(new URL('.', import.meta.url));
const words = process.argv.slice(2);

function testFiles(): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js') && !file.split(sep).includes('fixtures'))
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .sort()
    .map((file) => join(root, file));
}

const files = testFiles();
if (files.length === 0) {
  process.stderr.write(`no test file holds ${words.join(' or ') || '.test.js'} in its name\n`);
  process.exit(1);
}

let passed = 0;
let failed = 0;
let skipped = 0;
const failures: string[] = [];

// With files named, the runner looks for no others; a file that tests itself would inherit this and run nothing.
delete process.env['NODE_TEST_CONTEXT'];
const events = run({ files, concurrency: Math.min(2, availableParallelism()), timeout: FILE_TIMEOUT_MS });
events.on('test:pass', (test) => {
  if (test.details.type === 'suite') return;
  if (test.skip !== undefined || test.todo !== undefined) skipped += 1;
  else passed += 1;
});
events.on('test:fail', (test) => {
  // A suite fails with its tests, which are counted themselves; one that fails of its own is a failure too.
  const cause = test.details.error as { failureType?: unknown };
  if (test.details.type === 'suite' && cause.failureType === 'subtestsFailed') return;
  failed += 1;
  failures.push(`${test.file === undefined ? '' : `${relative(root, test.file)}: `}${test.name}`);
});

const report = events.compose(new spec());
report.pipe(process.stdout, { end: false });
report.on('end', () => {
  // FAIL-CLOSED: a run in which nothing passed has shown nothing.
  const good = failed === 0 && passed > 0;
  for (const failure of failures) process.stdout.write(`failed: ${failure}\n`);
  const more = skipped === 0 ? '' : `, ${skipped} skipped`;
  process.stdout.write(`${passed} passed, ${failed} failed${more}\n`);
  process.exitCode = good ? 0 : 1;
});
