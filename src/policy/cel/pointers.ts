/** JSON Pointer (RFC 6901) into arguments. */
import type { CelValue } from './values.ts';

/** @throws Error where the text is no pointer. */
export function stepsOf(pointer: string): string[] {
  if (pointer === '') return [];
  if (!pointer.startsWith('/') || /~(?![01])/.test(pointer))
    throw new Error('not a JSON Pointer: write it as /a/0/b, with ~1 for a slash and ~0 for a tilde');
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** undefined where the pointer leads nowhere. */
export function valueAtPointer(root: CelValue, pointer: string): CelValue | undefined {
  let value: CelValue | undefined = root;
  for (const step of stepsOf(pointer)) {
    if (value instanceof Map) value = value.get(step);
    else if (Array.isArray(value))
      value = /^(?:0|[1-9]\d{0,8})$/.test(step) ? value[Number(step)] : undefined;
    else return undefined;
    if (value === undefined) return undefined;
  }
  return value;
}
