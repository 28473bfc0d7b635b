/** What a program that imports `portcullis` may rely on. Everything else is internal and may move. */
export { EXIT, EXIT_CODES, type ExitCode } from './config/exit-codes.ts';
export type { Decision, Effect } from './decision/decision.ts';
export {
  ALLOW_REASONS,
  type AllowReason,
  DENY_REASONS,
  type DenyReason,
  type EnforcementMode,
  type FailMode,
  type ReasonCode,
} from './decision/reason.ts';
export type { Diagnostic } from './policy/diagnostic.ts';
export { type LoadedPolicy, loadPolicy } from './store/load-policy.ts';
export { VERSION } from './version.ts';
