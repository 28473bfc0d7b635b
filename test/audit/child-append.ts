/**
 * A process that appends to a log: `child-append FILE NAME COUNT [BURST]`. COUNT 0: until killed. It writes one byte to stdout
 * after each commit that is on record and stops at the first that is not, printing why.
 */
import { writeSync } from 'node:fs';
import { openDecisionLog } from '../../src/audit/log.ts';
import { decision } from './decisions.ts';

const [file = '', name = '', count = '1', burst = '1'] = process.argv.slice(2);
const opened = openDecisionLog({ file });
if (!opened.ok) throw new Error(opened.detail);
for (let i = 0; count === '0' || i < Number(count); ) {
  for (let j = 0; j < Number(burst); j++, i++)
    opened.log.append(decision({ id: `${name}-${i}`, message: 'x'.repeat(i % 300) }));
  const outcome = opened.log.commit();
  if (outcome.kind !== 'recorded') {
    writeSync(1, `\nafter ${i}: ${outcome.detail}\n`);
    break;
  }
  writeSync(1, '.');
}
