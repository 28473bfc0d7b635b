/** The entry of a lane's worker: joins the loop to the judge. Runs until it is terminated. */
import type { LaneTask } from '../src/pool/wire.ts';
import { createJudge } from './judge.ts';
import { serveLane } from './serve-lane.ts';

export default function lane(task: LaneTask): Promise<void> {
  return serveLane(task, createJudge());
}
