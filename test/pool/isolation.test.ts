import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SHARED } from '../fixtures/workers/script.ts';
import { isVerdict, rig } from './harness.ts';

type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

function run(name: string, ...args: readonly string[]): Promise<Ran> {
  const file = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const text = { stdout: '', stderr: '' };
    child.stdout.on('data', (data: Buffer) => {
      text.stdout += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      text.stderr += data.toString();
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...text }));
  });
}

describe('a worker', () => {
  test('prints nothing on the process that holds it', async () => {
    const { code, stdout, stderr } = await run('child-print');
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'done\n', stderr: '' });
  });

  test('sees no environment variable, argument or flag of the process', async () => {
    const { cells, batch, close } = await rig();
    try {
      Atomics.store(cells, SHARED.leak, -1);
      isVerdict((await batch('peek_env'))[0], 0);
      assert.equal(Atomics.load(cells, SHARED.leak), 0);
    } finally {
      await close();
    }
  });

  test('that must read the largest message in its most wasteful spelling does not end the process', async () => {
    const { code, stdout } = await run('child-large-message');
    assert.deepEqual({ code, stdout }, { code: 0, stdout: 'answered\n' });
  });
});

describe('a pool', () => {
  test('leaves nothing behind when it is closed', async () => {
    const { code, stdout, stderr } = await run('child-close');
    assert.deepEqual(
      { code, stdout: JSON.parse(stdout), stderr },
      {
        code: 0,
        stdout: { resources: [], listeners: [] },
        stderr: '',
      },
    );
  });
});
