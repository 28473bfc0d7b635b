/** The thread that reads policy files for {@link loadPoliciesApart}, and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { loadPolicies } from './load-policy.ts';

parentPort?.postMessage(await loadPolicies(workerData as readonly string[]));
