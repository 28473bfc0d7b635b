/** Judges a message of the largest size that the proxy takes, every character of it escaped. */
import { RUN_DEFAULTS } from '../../src/config/run-options.ts';
import type { JobOutcome } from '../../src/gate/ports.ts';
import { createPool } from '../../src/pool/pool.ts';

const pool = createPool({ runTimeoutMs: 60_000, totalTimeoutMs: 60_000 });
const { handle } = await pool.load({ format: 1, defaultEffect: 'allow', hide: [], tools: [] }, 'digest');
const head = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":"';
const text = '\\n'.repeat((RUN_DEFAULTS.maxMessageBytes - 100) / 2);
const outcome = await new Promise<JobOutcome>((done) => {
  pool.submit({
    kind: 'judge',
    bytes: Buffer.from(`${head}${text}"}}}`),
    policy: handle,
    session: 's',
    done,
  });
});
process.stdout.write(outcome.kind === 'verdict' ? 'answered\n' : `${JSON.stringify(outcome)}\n`);
await pool.close();
