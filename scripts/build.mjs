// `npm run build`: an empty dist, the compiled sources, the schemas that are written from them, and an executable that
// may be run. With --if-needed only where dist is missing or older than a source, so that `npm test` alone also works.
import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamp = join(root, 'dist', '.built');
const SOURCES = ['src', 'workers', 'bench', 'test', 'examples', 'tsconfig.json', 'package.json'];

if (process.argv.includes('--if-needed') && builtAt() > newest(SOURCES)) process.exit(0);

const started = Date.now();
rmSync(join(root, 'dist'), { recursive: true, force: true });
const typescript = dirname(createRequire(import.meta.url).resolve('typescript/package.json'));
node(join(typescript, 'bin', 'tsc'), '-p', 'tsconfig.json');
node('dist/src/policy/text/write-schema.js');
node('dist/src/audit/write-schema.js');
chmodSync(join(root, 'dist', 'src', 'main.js'), 0o755);
writeFileSync(stamp, `${new Date(started).toISOString()}\n`);

function node(...args) {
  try {
    execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  } catch {
    // What went wrong stands above, in the tool's own words.
    process.exit(1);
  }
}

function builtAt() {
  try {
    return Date.parse(readFileSync(stamp, 'utf8').trim()) || 0;
  } catch {
    return 0;
  }
}

function newest(paths) {
  let time = 0;
  for (const path of paths) {
    const full = join(root, path);
    const stat = statSync(full);
    time = Math.max(time, stat.mtimeMs);
    if (stat.isDirectory()) time = Math.max(time, newest(readdirSync(full).map((name) => join(path, name))));
  }
  return time;
}
