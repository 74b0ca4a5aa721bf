import { describe, expect, it } from 'vitest';
import {
  environmentWorkflowId,
  formatRunId,
  holderWorkflowId,
  lockHolder,
  parseApplicationName,
  parseDigest,
  parseEnvironmentName,
  parseRunId,
  parseSha,
  parseTaskName,
  runWorkflowId,
} from '../../../src/core/model/ids.ts';

const application = parseApplicationName('thingy');

describe('names', () => {
  it('take what the rule allows', () => {
    expect(parseEnvironmentName('staging-2')).toBe('staging-2');
    expect(parseTaskName('gen_template')).toBe('gen_template');
    expect(parseSha('a'.repeat(40))).toBe('a'.repeat(40));
    expect(parseDigest(`sha256:${'0'.repeat(64)}`)).toBe(`sha256:${'0'.repeat(64)}`);
  });

  it.each([
    [parseApplicationName, '../etc'],
    [parseEnvironmentName, 'Production'],
    [parseTaskName, '1st'],
    [parseSha, 'main'],
    [parseDigest, 'sha256:short'],
  ])('are refused with the rule (%o)', (parse, text) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'input-invalid' }));
  });
});

describe('the id of a run', () => {
  it.each([
    ['thingy/12', { application, number: 12, round: 1 }],
    ['thingy/12/2', { application, number: 12, round: 2 }],
  ])('%s is read and written', (text, reference) => {
    expect(parseRunId(text)).toEqual(reference);
    expect(formatRunId(reference)).toBe(text);
  });

  it.each(['thingy', 'thingy/0', 'thingy/1/1', 'thingy/x', 'Thingy/1', 'thingy/1/2/3'])('%s is none', (text) => {
    expect(() => parseRunId(text)).toThrow(expect.objectContaining({ code: 'input-invalid' }));
  });
});

describe('ids in Temporal', () => {
  const run = formatRunId({ application, number: 12, round: 1 });

  it('speak', () => {
    expect(runWorkflowId(run)).toBe('run/thingy/12');
    expect(environmentWorkflowId(application, parseEnvironmentName('staging'))).toBe('environment/thingy/staging');
  });

  it('of a lock holder lead back to its workflow (I3)', () => {
    const holder = lockHolder(run, parseTaskName('deploy'), 2);

    expect(holder).toBe('run/thingy/12/deploy#2');
    expect(holderWorkflowId(holder)).toBe('run/thingy/12');
  });
});
