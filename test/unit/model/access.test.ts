import { describe, expect, it } from 'vitest';
import {
  formatGrant,
  includesRole,
  mayAct,
  mayActSomewhere,
  parseGrant,
  roles,
  seenApplications,
} from '../../../src/core/model/access.ts';
import type { Grant, Place } from '../../../src/core/model/access.ts';
import { parseApplicationName, parseEnvironmentName } from '../../../src/core/model/ids.ts';

const [thingy, other] = [parseApplicationName('thingy'), parseApplicationName('other')];
const [production, staging] = [parseEnvironmentName('production'), parseEnvironmentName('staging')];

function grant(text: string): Grant {
  const parsed = parseGrant(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

describe('roles', () => {
  it('grow from viewer to admin', () => {
    expect(roles.map((held) => roles.map((asked) => includesRole(held, asked)))).toEqual([
      [true, false, false, false],
      [true, true, false, false],
      [true, true, true, false],
      [true, true, true, true],
    ]);
  });

  it('hold where they were given', () => {
    const places: readonly Place[] = [
      {},
      { application: thingy },
      { application: thingy, environment: production },
      { application: thingy, environment: staging },
      { application: other, environment: production },
    ];
    const table = (held: string, asked: 'viewer' | 'approver'): readonly boolean[] =>
      places.map((place) => mayAct([grant(held)], asked, place));

    expect(table('admin', 'approver')).toEqual([true, true, true, true, true]);
    expect(table('approver:thingy', 'approver')).toEqual([false, true, true, true, false]);
    expect(table('approver:thingy/production', 'approver')).toEqual([false, false, true, false, false]);
    expect(table('approver:thingy/production', 'viewer')).toEqual([false, true, true, true, false]);
    expect(table('developer:thingy', 'approver')).toEqual([false, false, false, false, false]);
    expect(mayAct([], 'viewer', {})).toBe(false);
    expect(mayAct([grant('viewer'), grant('approver:other')], 'approver', { application: other })).toBe(true);
  });

  it('may hold somewhere in an application, which one place is asked for later', () => {
    expect(mayActSomewhere([grant('approver:thingy/production')], 'approver', thingy)).toBe(true);
    expect(mayActSomewhere([grant('approver')], 'approver', thingy)).toBe(true);
    expect(mayActSomewhere([grant('approver:thingy/production')], 'approver', other)).toBe(false);
    expect(mayActSomewhere([grant('developer:thingy')], 'approver', thingy)).toBe(false);
  });

  it('show the applications that they are in', () => {
    expect(seenApplications([grant('viewer:thingy'), grant('approver:thingy/staging'), grant('admin:other')])).toEqual([
      thingy,
      other,
    ]);
    expect(seenApplications([grant('viewer:thingy'), grant('viewer')])).toBeUndefined();
  });

  it.each(['viewer', 'developer:thingy', 'approver:thingy/production', 'admin:a-1/b-2'])(
    'are written as %s',
    (text) => {
      expect(formatGrant(grant(text))).toBe(text);
    },
  );

  it.each([
    ...['', 'king', 'Admin', 'admin:', 'admin:Thingy', 'admin:thingy/', 'admin:thingy/Production', 'admin:/production'],
    ...['viewer:thingy/production', 'developer:thingy/production', 'admin:a/b/c', 'admin thingy', ':thingy'],
  ])('are not written as "%s"', (text) => {
    expect(parseGrant(text)).toBeUndefined();
  });
});
