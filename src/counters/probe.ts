/** A process of its own that opens and reads a doubtful counters file, so that LMDB's death in it is nobody else's. */
import { explain, openChecked } from './lmdb-file.ts';

const path = process.argv[2] ?? '';
try {
  await openChecked(path).db.close();
} catch (error) {
  process.stdout.write(explain(error, path));
  process.exitCode = 1;
}
