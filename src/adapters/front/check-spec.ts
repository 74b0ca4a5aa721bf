import { DomainError } from '../../core/errors.ts';
import type { Problem } from '../../core/errors.ts';
import type { ReleaseSpec } from '../../ports/target.ts';

const maxReplicas = 20;
/** The kernel's limit of one variable (MAX_ARG_STRLEN) and a sane sum. */
const maxValueBytes = 128 * 1024 - 1;
const maxTotalBytes = 1024 * 1024;

/** Refuses what nothing can be started with, every problem at once (I10). */
export function checkSpec(spec: ReleaseSpec): void {
  const secrets = Object.entries(spec.secrets).map(([name, secret]): [string, string] => [name, secret.reveal()]);
  const variables = [...Object.entries(spec.env), ...secrets];
  const total = variables.reduce((sum, [name, value]) => sum + name.length + Buffer.byteLength(value), 0);
  const problems = [
    ...variables.flatMap(checkVariable),
    check(total <= maxTotalBytes, '/env', `config and secrets are larger than ${maxTotalBytes} bytes together`),
    check(
      spec.start === undefined || (spec.start.trim() !== '' && !spec.start.includes('\0')),
      '/start',
      'the start command is empty or holds a zero byte',
    ),
    check(/^\/[\x21-\x7e]*$/.test(spec.health), '/health', 'the health path must begin with / and hold no blanks'),
    check(isBetween(spec.replicas, 1, maxReplicas), '/replicas', `replicas must be 1 to ${maxReplicas}`),
    check(isBetween(spec.frontPort, 1, 65_535), '/frontPort', 'the port of the environment must be 1 to 65535'),
  ].filter((problem) => problem !== undefined);
  if (problems.length === 0) return;
  throw new DomainError('deploy-refused', problems.map((problem) => problem.message).join('; '), { problems });
}

function checkVariable([name, value]: readonly [string, string]): (Problem | undefined)[] {
  const shown = name.slice(0, 60);
  return [
    check(/^[A-Za-z_][A-Za-z0-9_]{0,199}$/.test(name), '/env', `"${shown}" cannot be the name of a variable`),
    check(!value.includes('\0'), '/env', `the value of ${shown} holds a zero byte`),
    check(
      Buffer.byteLength(value) + name.length < maxValueBytes,
      '/env',
      `the value of ${shown} is larger than ${maxValueBytes} bytes`,
    ),
  ];
}

function check(isGood: boolean, pointer: string, message: string): Problem | undefined {
  return isGood ? undefined : { pointer, message };
}

function isBetween(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}
