import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createExecTrustProvider } from '../../src/adapters/trust/exec/exec-trust-provider.ts';
import type { DomainError } from '../../src/core/errors.ts';
import { draw, testTrustProvider } from './contracts/trust-provider.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'loam-trust-'));
const logged: unknown[] = [];
const logger = { debug: log, info: log, warn: log, error: log };
const provider = createExecTrustProvider({ logger });

function log(...parts: unknown[]): void {
  logged.push(parts);
}

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function shell(script: string, more: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return { command: ['/bin/sh', '-c', script], ...more };
}

function printing(value: unknown): string {
  return `cat <<'END'\n${typeof value === 'string' ? value : JSON.stringify(value)}\nEND\n`;
}

async function drawError(settings: Readonly<Record<string, unknown>>): Promise<DomainError> {
  const thrown: unknown = await draw(provider, { settings: settings }).catch((error: unknown) => error);
  expect(thrown).toMatchObject({ name: 'DomainError' });
  return thrown as DomainError;
}

testTrustProvider('exec', {
  provider,
  valid: (token, lifetimeMs) => ({
    settings: shell(printing({ token, expires_at: new Date(Date.now() + lifetimeMs).toISOString() })),
  }),
  failing: {
    'trust-revoked': () => ({ settings: shell('exit 77') }),
    'trust-expired': () => ({ settings: shell('exit 78') }),
    'trustor-disabled': () => ({ settings: shell('exit 79') }),
    'trust-role-lost': () => ({ settings: shell('exit 80') }),
    'trust-failed': () => ({ settings: shell('echo "connection refused" >&2; exit 1') }),
  },
  hanging: () => ({ settings: shell('sleep 60') }),
});

describe('a token program', () => {
  it('may give the expiry in seconds', async () => {
    const drawn = await draw(provider, {
      settings: shell(printing({ token: 't-1', expires_in: 90, more: 'ignored' })),
    });

    expect(Math.abs(drawn.expiresAtMs - Date.now() - 90_000)).toBeLessThan(10_000);
  });

  it('is the demo program of the examples', async () => {
    const program = path.join(import.meta.dirname, '../../examples/trust-demo/print-token.mjs');

    const drawn = await draw(provider, { settings: { command: [process.execPath, program, '30'] } });

    expect(drawn.token.reveal()).toMatch(/^demo-/);
    expect(drawn.expiresAtMs).toBeGreaterThan(Date.now() + 20_000);
  });

  it('gets a clean environment', async () => {
    process.env['LOAM_TEST_LEAK'] = 'leak';
    const script = `printf '{"token":"%s","expires_in":60}' "$(env | grep -v ^PWD= | grep -v ^SHLVL= | grep -v ^_= | sort | tr '\\n' ' ')"`;

    const drawn = await draw(provider, { settings: shell(script, { env: { REGION: 'SYD' } }) });

    delete process.env['LOAM_TEST_LEAK'];
    expect(drawn.token.reveal()).toBe('PATH=/usr/local/bin:/usr/bin:/bin REGION=SYD ');
  });

  it.each([
    ['nothing', ''],
    ['text', 'hello'],
    ['an array', '[1]'],
    ['no token', '{"expires_in": 60}'],
    ['an empty token', '{"token": "", "expires_in": 60}'],
    ['a number as token', '{"token": 12345678, "expires_in": 60}'],
    ['no expiry', '{"token": "tok-secret-1"}'],
    ['a wrong date', '{"token": "tok-secret-1", "expires_at": "tomorrow"}'],
    ['a date without a zone', '{"token": "tok-secret-1", "expires_at": "2999-01-01T00:00:00"}'],
    ['an expiry in the past', '{"token": "tok-secret-1", "expires_at": "2020-01-01T00:00:00Z"}'],
    ['a negative lifetime', '{"token": "tok-secret-1", "expires_in": -5}'],
    ['an endless lifetime', '{"token": "tok-secret-1", "expires_in": 1e300}'],
    ['two documents', '{"token": "tok-secret-1", "expires_in": 60} {}'],
    ['a prototype', '{"__proto__": {"token": "tok-secret-1"}, "expires_in": 60}'],
  ])('that prints %s gives no token, and its output is not repeated', async (_case, output) => {
    const error = await drawError(shell(printing(output)));

    expect(error.code).toBe('trust-failed');
    expect(JSON.stringify([error.message, error.details])).not.toContain('tok-secret-1');
  });

  it('that writes the token on standard error is masked', async () => {
    const token = 'abcdefgh';
    const script = `${printing({ token, expires_in: 60 })} echo "got ${token} and Bearer xyz.123 and password=hunter2 and ghp_0123456789abcdefABCDEF at /usr/lib/python3/site.py" >&2; exit 3`;

    const error = await drawError(shell(script));

    expect(error.message).toContain('exit code 3');
    expect(error.message).toContain('/usr/lib/python3/site.py');
    for (const secret of [token, 'xyz.123', 'hunter2', 'ghp_']) expect(error.message).not.toContain(secret);
  });

  it('that writes without end is killed', async () => {
    const error = await drawError(shell('yes'));

    expect(error).toMatchObject({ code: 'trust-failed' });
    expect(error.message).toContain('wrote more than');
  });

  it('that complains without end is shown cut and without control characters', async () => {
    const error = await drawError(
      shell(`i=0; while [ $i -lt 3000 ]; do printf 'no\\033[31m way\\n' >&2; i=$((i+1)); done; exit 1`),
    );

    expect(error.message.length).toBeLessThan(600);
    // eslint-disable-next-line no-control-regex -- control characters must not be there
    expect(error.message).not.toMatch(/[\u0000-\u001f]/);
  });

  it('that hangs is killed with all that it started', async () => {
    const pidFile = path.join(folder, 'pid');

    const error = await drawError(shell(`sleep 300 & echo $! > ${pidFile}; wait`, { timeoutMs: 500 }));

    expect(error).toMatchObject({ code: 'trust-failed' });
    expect(error.message).toContain('did not end within 0.5 s');
    const pid = Number(readFileSync(pidFile, 'utf8'));
    await expect.poll(() => isThere(pid)).toBe(false);
  });

  it('may leave something behind that holds its output', async () => {
    const drawn = await draw(provider, {
      settings: shell(`${printing({ token: 't-2', expires_in: 60 })} sleep 300 & exit 0`),
    });

    expect(drawn.token.reveal()).toBe('t-2');
  });

  it.each([
    ['does not exist', '/no/such/program', 'was not found'],
    ['cannot be run', path.join(folder, 'text'), 'could not be started (EACCES)'],
  ])('that %s is said so', async (_case, file, reason) => {
    writeFileSync(path.join(folder, 'text'), 'text');

    const error = await drawError({ command: [file] });

    expect(error).toMatchObject({ code: 'trust-failed' });
    expect(error.message).toContain(reason);
  });

  it.each([
    ['no command', {}],
    ['an empty command', { command: [] }],
    ['a command line', { command: 'print-token --now' }],
    ['an unknown setting', { command: ['x'], secret: 'y' }],
    ['an endless timeout', { command: ['x'], timeoutMs: 1e9 }],
    ['a variable without a name', { command: ['x'], env: { '': 'y' } }],
    ['a zero byte', { command: ['x', 'a\0b'] }],
  ])('is refused with %s', async (_case, settings) => {
    expect(await drawError(settings)).toMatchObject({ code: 'input-invalid' });
  });

  it('never gets its token into the log', () => {
    expect(JSON.stringify(logged)).not.toMatch(/the-token-1|t-1|hidden-token/);
  });
});

function isThere(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}
