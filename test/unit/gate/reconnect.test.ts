import { expect, it } from 'vitest';
import { isWithdrawal, isWithdrawn, reconnectGate, stateOfWithdrawal } from '../../../src/core/gate/reconnect.ts';
import type { EnvironmentName } from '../../../src/core/model/ids.ts';

it.each([
  ['trust-revoked', 'revoked'],
  ['trust-expired', 'expired'],
  ['trustor-disabled', 'trustor-disabled'],
  ['trust-role-lost', 'role-lost'],
] as const)('knows %s as a trust that only a person can mend', (code, state) => {
  expect(isWithdrawal(code)).toBe(true);
  expect(stateOfWithdrawal(code)).toBe(state);
  expect(isWithdrawn(state)).toBe(true);
});

it.each([undefined, 'provider-unreachable', 'toString'])('takes %s for something else', (code) => {
  expect(isWithdrawal(code)).toBe(false);
});

it.each(['valid', 'expiring', 'provider-unreachable'])('does not wait for a person while a trust is %s', (state) => {
  expect(isWithdrawn(state)).toBe(false);
});

it('names the gate after the environment, as no task can be named', () => {
  expect(reconnectGate('production' as EnvironmentName)).toBe('reconnect/production');
});
