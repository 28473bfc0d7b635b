/** A process that fills its log to the file-size limit, says so, and after a line on stdin commits once more. */
import { writeSync } from 'node:fs';
import { openDecisionLog } from '../../src/audit/log.ts';
import { decision } from './decisions.ts';

const opened = openDecisionLog({ file: process.argv[2] ?? '' });
if (!opened.ok) throw new Error(opened.detail);
const { log } = opened;
let kind = 'recorded';
for (let i = 0; kind === 'recorded' && i < 1000; i++) {
  log.append(decision({ id: `${i}`, message: 'x'.repeat(i % 300) }));
  kind = log.commit().kind;
}
writeSync(1, kind);
process.stdin.once('data', () => {
  log.append(decision({ id: 'resumed' }));
  writeSync(1, log.commit().kind);
});
