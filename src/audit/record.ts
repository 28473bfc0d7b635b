/** The shape of a decision record, for readers of the log: `dist/schemas/decision.schema.json` is made from it. */
import { z } from 'zod';
import { ALLOW_REASONS, DENY_REASONS } from '../decision/reason.ts';
import { RECORD_VERSION } from './line.ts';

const time = z.iso.datetime({ precision: 3 });
const microseconds = z.int().nonnegative().nullable();
const reason = z.enum([...ALLOW_REASONS, ...DENY_REASONS]);

export const decisionRecord = z.strictObject({
  v: z.literal(RECORD_VERSION).describe('The format of this record.'),
  id: z.string().describe('The decision, as the agent is told it.'),
  time: time.nullable().describe('When the decision was made, in UTC; null where the clock told no time.'),
  session: z.string().describe('The session the call came in.'),
  server: z.string().describe('The upstream server, by the name the policy and the counters know it by.'),
  tool: z
    .string()
    .nullable()
    .describe('The tool called; null where the message could not be read far enough.'),
  request_id: z
    .union([z.string(), z.int()])
    .nullable()
    .describe('The JSON-RPC id of the call; null for a notification or where it could not be read.'),
  effect: z.enum(['allow', 'deny']),
  reason: reason.describe('Why, as one of the reason codes.'),
  rule: z
    .strictObject({
      tool: z.string().describe("The rule's key under `tools`: a name, a glob or `*`."),
      name: z.string(),
      index: z.int().nonnegative().nullable().describe('Its position under that key, from 0.'),
      policy: z.string().optional().describe('Which of several policies, by the name of its file.'),
      part: z
        .string()
        .optional()
        .describe(
          'What of it was being judged when the evaluation failed: when, condition 2, require, check.',
        ),
    })
    .optional()
    .describe('The rule that decided; absent where none did.'),
  message: z.string().describe('What the agent was told. Never an argument value.'),
  policy_digest: z.string().describe('The policy in force.'),
  mode: z.enum(['enforce', 'dry_run']),
  fail_mode: z.enum(['closed', 'open']),
  would_deny: reason.optional().describe('dry_run: the reason it would have been denied for.'),
  failure: reason.optional().describe('failed_open: the failed evaluation behind it.'),
  injected: z.literal(true).optional().describe('A rehearsed fault (--inject) touched this decision.'),
  reservation: z.string().optional().describe('The reservation of its limits.'),
  retry_at: time.nullable().optional().describe('limit_reached: when the window turns.'),
  queue_us: microseconds.describe('Microseconds spent waiting for a lane; null where not measured.'),
  evaluation_us: microseconds.describe('Microseconds spent running in it.'),
  total_us: microseconds.describe("Microseconds from the message's arrival to the decision."),
});

export type DecisionRecord = z.infer<typeof decisionRecord>;

export function decisionJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(decisionRecord, { target: 'draft-2020-12' });
  return { title: 'A line of the Portcullis decision log', ...schema };
}
