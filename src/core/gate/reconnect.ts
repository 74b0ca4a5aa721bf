import type { ErrorCode } from '../errors.ts';
import type { EnvironmentName, TaskName } from '../model/ids.ts';

/** What a provider may say about a trust that only a person can mend, and the state that the trust is in then. */
const withdrawals = {
  'trust-revoked': 'revoked',
  'trust-expired': 'expired',
  'trustor-disabled': 'trustor-disabled',
  'trust-role-lost': 'role-lost',
} as const satisfies Partial<Record<ErrorCode, string>>;

export type WithdrawalCode = keyof typeof withdrawals;
export type WithdrawnState = (typeof withdrawals)[WithdrawalCode];

export function isWithdrawal(code: string | undefined): code is WithdrawalCode {
  return code !== undefined && Object.hasOwn(withdrawals, code);
}

export function stateOfWithdrawal(code: WithdrawalCode): WithdrawnState {
  return withdrawals[code];
}

export function isWithdrawn(state: string): state is WithdrawnState {
  return Object.values<string>(withdrawals).includes(state);
}

/** The gate at which a deploy waits for its trust. No task can have this name, so nobody approves it by mistake. */
export function reconnectGate(environment: EnvironmentName): TaskName {
  return `reconnect/${environment}` as TaskName;
}
