/** The thread that reads a policy file for {@link loadPolicyApart}, and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { loadPolicy } from './load-policy.ts';

parentPort?.postMessage(await loadPolicy(workerData as string));
