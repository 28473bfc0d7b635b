/**
 * `npm run bench`: the rows of the table in bench/README.md, each against its reference in the same run on the same
 * machine. Exit code 1 where an answer was wrong; a missed target is printed loudly and is no failure.
 */
import { parseArgs } from 'node:util';
import { faults } from './faults.bench.ts';
import { memory } from './memory.bench.ts';
import { policy } from './policy.bench.ts';
import { pool } from './pool.bench.ts';
import { proxiedCalls } from './proxied-calls.bench.ts';
import { isMet, machine, type Row, type RowResult, table } from './report.ts';

const ROWS: readonly Row[] = [pool, policy, proxiedCalls, faults, memory];

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    quick: { type: 'boolean', default: false },
  },
});
const unknown = values.only.filter((name) => !ROWS.some((row) => row.name === name));
if (unknown.length > 0) {
  process.stderr.write(
    `no such row: ${unknown.join(', ')}; there are ${ROWS.map((row) => row.name).join(', ')}\n`,
  );
  process.exit(64);
}

const about = machine();
if (!values.json) {
  process.stdout.write(
    `Portcullis ${about.commit}, ${about.date}, Node ${about.node} on ${about.platform}, ${about.cpu}, ${about.cores} cores${values.quick ? ', quick' : ''}\n\n`,
  );
}
const results: (RowResult & { readonly error?: string })[] = [];
for (const row of ROWS) {
  if (values.only.length > 0 && !values.only.includes(row.name)) continue;
  try {
    const result = { name: row.name, question: row.question, ...(await row.run(values)) };
    results.push(result);
    if (!values.json) process.stdout.write(`${table(result)}\n\n`);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    results.push({
      name: row.name,
      question: row.question,
      measurements: [],
      targets: [],
      notes: [],
      error: message,
    });
    process.stderr.write(`FAILED ${row.name}: ${message}\n\n`);
  }
}
const missed = results.flatMap((result) => result.targets.filter((target) => !isMet(target)));
const failed = results.filter((result) => result.error !== undefined);
if (values.json) {
  const rows = results.map((row) => ({
    ...row,
    targets: row.targets.map((target) => ({ ...target, met: isMet(target) })),
  }));
  process.stdout.write(`${JSON.stringify({ machine: about, quick: values.quick, rows }, null, 2)}\n`);
} else {
  for (const target of missed) process.stdout.write(`!!! MISSED: ${target.what}\n`);
  if (missed.length === 0 && failed.length === 0) process.stdout.write('every target met\n');
}
process.exitCode = failed.length > 0 ? 1 : 0;
