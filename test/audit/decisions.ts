/** Decisions for the log's tests. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Decision } from '../../src/decision/decision.ts';

export function decision(changes: Partial<Decision> = {}): Decision {
  return {
    id: 'd-1',
    session: 's-1',
    server: 'github',
    tool: 'create_issue',
    requestId: '7',
    effect: 'allow',
    reason: 'allowed',
    message: 'allowed',
    policyDigest: 'sha256:00ff',
    mode: 'enforce',
    failMode: 'closed',
    timeMs: Date.UTC(2026, 2, 1, 12, 30, 30, 500),
    queueUs: 12.4,
    evaluationUs: 31.6,
    totalUs: 88,
    ...changes,
  };
}

export function freshDir(): string {
  return mkdtempSync(join(tmpdir(), 'portcullis-log-'));
}
