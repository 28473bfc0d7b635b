import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { test } from 'node:test';
import { defaultStateDir } from '../../src/config/paths.ts';

test('the state folder follows XDG_STATE_HOME', () => {
  assert.equal(defaultStateDir({ XDG_STATE_HOME: '/var/s' }), '/var/s/portcullis');
});

test('a relative or missing XDG_STATE_HOME falls back to the home folder', () => {
  assert.equal(defaultStateDir({ XDG_STATE_HOME: 'rel' }), `${homedir()}/.local/state/portcullis`);
  assert.equal(defaultStateDir({}), `${homedir()}/.local/state/portcullis`);
});
