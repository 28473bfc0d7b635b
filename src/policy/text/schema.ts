/**
 * The shape of a policy file. Strict: an unknown field is a fault. What depends on more than one field (values that
 * fit their operator, counters that exist) is judged by compile.ts. Each schema's error text is the `expected` of its
 * diagnostic; the JSON Schema for editors is made from here (write-schema.ts).
 */
import { z } from 'zod';
import { OPERATORS } from '../program.ts';

export const WINDOWS = ['minute', 'hour', 'day'] as const;
export const ACTIONS = ['evaluate', 'deny'] as const;
export const DEFAULTS = ['allow', 'deny'] as const;

const NOT_BLANK = /\S/;

function oneOf(words: readonly string[]): string {
  return `one of ${words.join(', ')}`;
}

const rateLimitSchema = z.string({ error: 'text such as 10/minute' }).meta({
  description: 'At most so many calls in a window: N/minute, N/hour or N/day.',
  pattern: '^[0-9]+/(minute|hour|day)$',
});

const conditionSchema = z.strictObject(
  {
    path: z.string({ error: 'text such as args.amount or state.TOOL.COUNTER' }).meta({
      description: 'args. and the keys to follow, or state. with scope and counter.',
    }),
    op: z.enum(OPERATORS, { error: oneOf(OPERATORS) }),
    value: z.unknown().meta({ description: 'What the operator compares with.' }),
  },
  { error: 'a condition: a map with path, op and value' },
);

const stateSchema = z.strictObject(
  {
    counter: z
      .string({ error: "the counter's name" })
      .regex(NOT_BLANK, { error: 'a name that is not blank' }),
    window: z.enum(WINDOWS, { error: oneOf(WINDOWS) }),
    increment: z.number({ error: 'a number greater than 0' }).optional(),
    increment_from: z.string({ error: 'text such as args.amount' }).optional(),
  },
  { error: 'a map with counter and window' },
);

const expressionSchema = z
  .string({ error: 'an expression, as text' })
  .regex(NOT_BLANK, { error: 'an expression that is not blank' });

const ruleSchema = z.strictObject(
  {
    name: z
      .string({ error: "the rule's name, as text" })
      .regex(NOT_BLANK, { error: 'a name that is not blank' }),
    action: z.enum(ACTIONS, { error: oneOf(ACTIONS) }).optional(),
    when: expressionSchema
      .meta({ description: 'CEL. The rule applies only to calls for which this is true.' })
      .nullish(),
    conditions: z.array(conditionSchema, { error: 'a list of conditions' }).nullish(),
    require: z
      .union([expressionSchema, z.array(expressionSchema)], {
        error: 'an expression, or a list of expressions',
      })
      .meta({ description: 'CEL. What must hold.' })
      .nullish(),
    check: z
      .string({ error: 'the path of a check, such as ./checks/refund.mjs' })
      .regex(NOT_BLANK, { error: 'a path that is not blank' })
      .meta({
        description:
          'A check in JavaScript, beside the policy file: ./checks/refund.mjs or ./checks/refund.mjs#name.',
      })
      .nullish(),
    on_deny: z.string({ error: 'the message for a denial, as text' }).nullish(),
    rate_limit: rateLimitSchema.optional(),
    state: stateSchema.nullish(),
  },
  { error: 'a rule: a map with a name' },
);

const toolSchema = z.strictObject(
  { rules: z.array(ruleSchema, { error: 'a list of rules' }).nullish() },
  { error: 'a map with rules' },
);

export const policySchema = z
  .strictObject(
    {
      version: z.literal(['1', 1], { error: 'version "1"' }),
      description: z.string({ error: 'text' }).nullish(),
      default: z.enum(DEFAULTS, { error: oneOf(DEFAULTS) }).optional(),
      hide: z
        .array(
          z.string({ error: 'a tool name, as text' }).regex(NOT_BLANK, { error: 'a name that is not blank' }),
          {
            error: 'a list of tool names',
          },
        )
        .nullish(),
      tools: z
        .record(z.string(), toolSchema.nullable(), { error: 'a map from tool names to their rules' })
        .nullish(),
    },
    { error: 'a map with version and tools' },
  )
  .meta({ title: 'Portcullis policy', description: 'Rules for the tool calls of one MCP server.' });

/** The fields of each kind of map, to name the nearest one. */
export const FIELDS = {
  policy: Object.keys(policySchema.shape),
  tool: Object.keys(toolSchema.shape),
  rule: Object.keys(ruleSchema.shape),
  condition: Object.keys(conditionSchema.shape),
  state: Object.keys(stateSchema.shape),
} as const;
