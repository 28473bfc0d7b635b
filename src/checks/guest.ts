/**
 * What runs inside the sandbox before any check: it takes away what a check must not have, and keeps for itself what it
 * needs to hand the input over and to read the result, so that nothing a check does to its world changes either.
 */

/** Absent in checks: clocks, chance, code from text, objects that run code when they are looked at, shared memory. */
export const ABSENT = [
  'Date',
  'Proxy',
  'eval',
  'Function',
  'WeakRef',
  'FinalizationRegistry',
  'SharedArrayBuffer',
  'Atomics',
  'performance',
  'console',
  'setTimeout',
  'setInterval',
  'queueMicrotask',
  'Promise',
] as const;

export const MAX_REASON = 500;

export const GUEST_SOURCE = `
(() => {
  'use strict';
  const { parse } = JSON;
  const { freeze, keys, getPrototypeOf, getOwnPropertyDescriptor, setPrototypeOf, prototype: objectPrototype } = Object;
  const { ownKeys } = Reflect;
  const { isArray } = Array;
  const toBigInt = BigInt;
  const internalError = InternalError.prototype;
  for (const f of [function () {}, function* () {}, async function () {}, async function* () {}])
    delete getPrototypeOf(f).constructor;
  delete Math.random;
  for (const name of ${JSON.stringify(ABSENT)}) delete globalThis[name];

  const frozen = (value) => {
    if (typeof value !== 'object' || value === null) return value;
    const names = keys(value);
    for (let i = 0; i < names.length; i++) frozen(value[names[i]]);
    return freeze(value);
  };
  // No loop over an iterator and no method of a value: modules may have changed both for themselves.
  const place = (holder, branches) => {
    for (let i = 0; i < branches.length; i++) {
      const branch = branches[i];
      const key = branch[0];
      if (branch.length === 2) place(holder[key], branch[1]);
      else holder[key] = branch[2] === 1 ? toBigInt(branch[1]) : { decimal: branch[1] };
    }
  };
  const inputOf = (json, exact) => {
    const input = parse(json);
    place(input, parse(exact));
    return frozen(input);
  };
  /** Undefined for an accessor too: a descriptor must not find a value in its prototype. */
  const ownValue = (object, key) => {
    const descriptor = getOwnPropertyDescriptor(object, key);
    return descriptor === undefined ? undefined : setPrototypeOf(descriptor, null).value;
  };
  const kindOf = (value) => {
    if (value === null) return 'null';
    if (isArray(value)) return 'a list';
    const type = typeof value;
    return type === 'undefined' ? 'nothing' : type === 'object' ? 'an object' : 'a ' + type;
  };
  const resultOf = (value) => {
    if (value === true) return 'passed';
    if (typeof value !== 'object' || value === null) return 'fault:it returned ' + kindOf(value);
    if (getPrototypeOf(value) !== objectPrototype) return 'fault:it returned an object that is not plain';
    const names = ownKeys(value);
    if (names.length !== 1 || names[0] !== 'deny') return 'fault:it returned an object that is not { deny: "reason" }';
    const reason = ownValue(value, 'deny');
    if (typeof reason !== 'string' || reason === '') return 'fault:the reason it denies for is not a text';
    return 'denied:' + reason;
  };
  const faultOf = (error) => {
    // QuickJS throws null where there is no room for an error.
    if (error === null) return 'memory:';
    if (typeof error === 'object' && error !== null && getPrototypeOf(error) === internalError) {
      const message = ownValue(error, 'message');
      if (message === 'out of memory') return 'memory:';
      if (message === 'stack overflow') return 'fault:it recursed too deep';
    }
    return 'fault:it threw ' + (typeof error === 'object' && error !== null ? 'an error' : kindOf(error));
  };
  return (check, json, exact) => {
    const input = inputOf(json, exact);
    let value;
    try {
      value = check(input);
    } catch (error) {
      return faultOf(error);
    }
    return resultOf(value);
  };
})()
`;
