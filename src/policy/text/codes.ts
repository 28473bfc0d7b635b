/** Every code a policy diagnostic can carry. docs/policy-errors.md explains each; a test compares the two. */

export const POLICY_ERROR_CODES = [
  // the file
  'file_missing',
  'file_unreadable',
  'reader_failed',
  'not_a_file',
  'file_too_large',
  'not_utf8',
  'control_character',
  // the YAML
  'yaml_syntax',
  'yaml_directive',
  'too_deep',
  'too_complex',
  'empty_document',
  'several_documents',
  'duplicate_key',
  'key_not_text',
  'merge_key',
  'tag',
  'unknown_alias',
  'recursive_alias',
  'alias_expansion',
  'number_not_finite',
  'number_out_of_range',
  'malformed_text',
  // the shape
  'unknown_field',
  'missing_field',
  'wrong_type',
  'unknown_word',
  'blank_text',
  // the meaning
  'unsupported_action',
  'bad_path',
  'bad_regex',
  'bad_expression',
  'bad_check',
  'bad_rate_limit',
  'bad_increment',
  'rule_without_conditions',
  'conflicting_fields',
  'duplicate_entry',
  'duplicate_counter',
  'counter_without_limit',
  'unknown_counter',
  'ambiguous_counter',
  'too_many_faults',
] as const;

/** What a policy may hold but hardly means. */
export const POLICY_WARNING_CODES = ['counter_never_raised', 'never_holds', 'nothing_listed'] as const;

export type PolicyErrorCode = (typeof POLICY_ERROR_CODES)[number];
export type PolicyWarningCode = (typeof POLICY_WARNING_CODES)[number];
export type PolicyCode = PolicyErrorCode | PolicyWarningCode;
