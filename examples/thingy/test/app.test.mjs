import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { answer, readPort, readSettings } from '../app.mjs';

const settings = { greeting: 'hello', release: '7', version: '1.0.0' };

describe('answer', () => {
  it('greets, and says which release it is', () => {
    assert.deepEqual(answer(settings, 'GET', '/'), { status: 200, body: settings });
  });

  it('is healthy', () => {
    assert.deepEqual(answer(settings, 'GET', '/health'), { status: 200, body: { status: 'ok' } });
  });

  it('answers HEAD like GET', () => {
    assert.equal(answer(settings, 'HEAD', '/health').status, 200);
  });

  it('does not know other paths', () => {
    assert.equal(answer(settings, 'GET', '/admin').status, 404);
  });

  it('refuses to be written to', () => {
    assert.equal(answer(settings, 'POST', '/').status, 405);
  });
});

describe('readSettings', () => {
  it('takes the greeting of the plan and the release of Loam', () => {
    assert.deepEqual(readSettings({ GREETING: 'hello', LOAM_RELEASE: '7' }, '1.0.0'), settings);
  });

  it('also runs where nobody gives it settings', () => {
    assert.deepEqual(readSettings({}, '1.0.0'), { greeting: 'hi', release: 'none', version: '1.0.0' });
  });
});

describe('readPort', () => {
  it('takes the port that it is given, else 8080', () => {
    assert.equal(readPort('9000'), 9000);
    assert.equal(readPort(undefined), 8080);
  });

  it('says what is wrong with a port', () => {
    for (const text of ['http', '', '-1', '70000', '80.5'])
      assert.throws(() => readPort(text), /PORT must be a number/);
  });
});
