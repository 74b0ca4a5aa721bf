// Every route times every role in every place, from the route table; what must come out is written by hand in access-rules.ts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Route } from '../../../src/api/route.ts';
import { parseGrant } from '../../../src/core/model/access.ts';
import type { Grant } from '../../../src/core/model/access.ts';
import { parseApplicationName, parseEnvironmentName } from '../../../src/core/model/ids.ts';
import { Secret } from '../../../src/ports/secret.ts';
import { routeRules } from '../../support/access-rules.ts';
import type { Rule } from '../../support/access-rules.ts';
import { startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { addThingy, openGate, receiveRun, startRun, thingy } from '../../support/doors-runs.ts';

const other = parseApplicationName('other');
const production = parseEnvironmentName('production');
const ranks = ['viewer', 'developer', 'approver', 'admin'];
const held = [
  ...ranks.flatMap((role) => [role, `${role}:thingy`, `${role}:other`]),
  ...['approver', 'admin'].flatMap((role) => [`${role}:thingy/production`, `${role}:thingy/staging`]),
];

let test: TestApi;
let delivery = '';

beforeAll(async () => {
  test = await startTestApi();
  await addThingy(test.store);
  await addThingy(test.store, other);
  const run = await startRun(test.store, test.blobs);
  await openGate(test.store, run);
  await openGate(test.store, await startRun(test.store, test.blobs)); // stays open: the first one is decided on the way
  delivery = (await test.store.runs.get(run))?.delivery ?? '';
  await receiveRun(test.store, other);
  await test.store.environments.put(thingy, production, {});
  for (const role of held) await put(role, [parseGrant(role)]);
  await put('revoked', [{ role: 'admin' }]);
  await test.store.tokens.remove('revoked');
  await put('expired', [{ role: 'admin' }], Date.now());
});

afterAll(async () => {
  await test.destroy();
});

function tokenOf(role: string): string {
  return `token-of-${role.replaceAll(/\W/g, '.')}-000000`;
}

async function put(role: string, grants: readonly (Grant | undefined)[], expiresAtMs?: number): Promise<void> {
  const known = grants.filter((grant) => grant !== undefined);
  const name = role.replaceAll(/\W/g, '.');
  await test.store.tokens.put({ name, grants: known, expiresAtMs }, new Secret(tokenOf(role)));
}

function keyOf({ method, path }: Route): string {
  return `${method} ${path}`;
}

const decided = JSON.stringify({ verdict: 'approved' });
/** Passes no schema: who may call is told what is wrong, and nothing changes. */
const surplus = JSON.stringify({ surplus: true });

interface Seen {
  readonly status: number;
  readonly code: string;
  readonly text: string;
}

async function call(route: Route, token: string | undefined): Promise<Seen> {
  const values: Readonly<Record<string, string>> = {
    ...{ application: 'thingy', environment: 'production', number: '1', task: 'test', gate: 'approve', name: 'demo' },
    ...{ trigger: 'trigger-thingy', delivery },
  };
  const place = route.path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => values[name] ?? 'x');
  const isGet = route.method === 'get';
  const response = await fetch(`${test.server.url}${place}`, {
    method: route.method.toUpperCase(),
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(!isGet && { 'content-type': 'application/json' }),
    },
    ...(!isGet && { body: route.path.endsWith('/decisions') ? decided : surplus }),
  });
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
  const text = isStream ? await firstOf(response.body) : await response.text();
  const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json') === true;
  const code = isProblem ? (JSON.parse(text) as { code: string }).code : '';
  return { status: response.status, code, text };
}

async function firstOf(stream: ReadableStream<Uint8Array> | null): Promise<string> {
  const reader = stream?.getReader();
  const first = await reader?.read();
  await reader?.cancel();
  return new TextDecoder().decode(first?.value);
}

function ruleOf(route: Route): Rule {
  const rule = routeRules[keyOf(route)];
  if (rule === undefined) throw new Error(`no rule for ${keyOf(route)}`);
  return rule;
}

/** Places whose roles hold for a scope. */
const holding: Readonly<Record<string, readonly string[]>> = {
  loam: ['everywhere'],
  application: ['everywhere', 'thingy'],
  environment: ['everywhere', 'thingy', 'thingy/production'],
  gate: ['everywhere', 'thingy', 'thingy/production'],
};

/** The rules in words: a role includes those below it; it holds everywhere, in its application, or in its environment; any role in an application shows it. */
function isAllowed(holder: string, [asked, scope]: Rule): boolean {
  const [role = '', place = 'everywhere'] = holder.split(':');
  if (ranks.indexOf(role) < ranks.indexOf(asked)) return false;
  if (scope === 'seen' || holding[scope]?.includes(place) === true) return true;
  return asked === 'viewer' && scope !== 'loam' && place.startsWith('thingy/');
}

it('has a rule for every route, and a route for every rule', () => {
  const table = Object.fromEntries(test.api.routes.map((route) => [keyOf(route), [route.access, route.scope]]));

  expect(table).toEqual(routeRules);
});

it('names in the path of a route the place that its scope asks for', () => {
  for (const { path, scope, access } of test.api.routes) {
    expect(scope === 'none', path).toBe(access === 'public' || access === 'trigger');
    if (scope === 'application' || scope === 'gate') expect(path).toContain('{application}');
    if (scope === 'environment') expect(path).toContain('{application}/environments/{environment}');
  }
});

describe('every route', () => {
  const bare = [
    ['no token', undefined],
    ['a token that nobody has', 'token-of-nobody-0000000'],
    ['a removed token', tokenOf('revoked')],
    ['an expired token', tokenOf('expired')],
  ] as const;

  it.each(bare)('refuses %s, but where none is asked for', async (_what, token) => {
    for (const route of test.api.routes) {
      const { status, code } = await call(route, token);
      if (route.access === 'public') expect(status, keyOf(route)).toBe(200);
      else if (route.access === 'trigger') expect(code, keyOf(route)).toBe('signature-invalid');
      else expect([status, code], keyOf(route)).toEqual([401, 'unauthenticated']);
    }
  });

  it.each(held)('lets %s do what it is for, there, and nothing else', async (holder) => {
    for (const route of test.api.routes) {
      if (route.access === 'public' || route.access === 'trigger') continue;
      const { status, code, text } = await call(route, tokenOf(holder));
      const where = `${holder}: ${keyOf(route)}: ${status} ${code}`;
      if (!isAllowed(holder, ruleOf(route))) expect([status, code], where).toEqual([403, 'forbidden']);
      else expect([401, 403], where).not.toContain(status);
      expect(status, where).toBeLessThan(500);
      if (route.scope === 'seen') {
        expect(text.includes('thingy'), where).toBe(!holder.endsWith(':other'));
      }
    }
  });
});

describe('what a place opens', () => {
  async function as(holder: string, method: string, route: string, json: unknown): Promise<string> {
    const headers = { authorization: `Bearer ${tokenOf(holder)}` };
    const { status, text } = await test.call(method, route, { role: 'nobody', headers, json });
    return status < 400 ? 'done' : (JSON.parse(text) as { code: string }).code;
  }

  it('is not another environment by way of a trust, nor another application by a filter', async () => {
    await test.store.trusts.put({ name: 'cloud', provider: 'exec', settings: { command: ['true'] } });
    const environment = '/v1/applications/thingy/environments/production';

    expect(await as('admin:thingy', 'PUT', environment, { trust: 'cloud' })).toBe('forbidden');
    expect(await as('admin:thingy/production', 'PUT', environment, { trust: 'cloud' })).toBe('forbidden');
    expect(await as('admin:thingy/production', 'PUT', environment, { protected: true, trust: null })).toBe('done');
    expect(await as('admin', 'PUT', environment, { trust: 'cloud' })).toBe('done');
    expect(await as('viewer:other', 'GET', '/v1/runs?application=thingy', undefined)).toBe('forbidden');
    expect(await as('viewer:other', 'GET', '/v1/runs?application=nothing', undefined)).toBe('forbidden');
    expect(await as('viewer:other', 'GET', `/v1/deliveries/${delivery}`, undefined)).toBe('delivery-unknown');
  });
});
