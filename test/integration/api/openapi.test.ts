import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { checkerOf } from '../../support/documented-answers.ts';

type Operation = Readonly<Record<string, unknown>>;
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>;

let test: TestApi;
let document: Readonly<Record<string, unknown>>;

beforeAll(async () => {
  test = await startTestApi();
  document = (await test.call('GET', '/v1/openapi.json', { role: 'nobody' })).body;
});

afterAll(async () => {
  await test.destroy();
});

it('is a valid document of OpenAPI 3.1', async () => {
  const validator = new Validator();

  expect(await validator.validate(structuredClone(document))).toEqual({ valid: true });
  expect(validator.version).toBe('3.1');
});

it('describes every route that Express serves, and nothing else', () => {
  const served = test.api.app.router.stack.flatMap(({ route }) =>
    route === undefined ? [] : route.stack.map(({ method }) => `${method} ${route.path.replaceAll(/:(\w+)/g, '{$1}')}`),
  );
  const described = Object.entries(document['paths'] as Paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method} ${path}`),
  );

  expect(described.toSorted()).toEqual([...new Set(served)].toSorted());
  expect(described.length).toBeGreaterThan(30);
});

it('leads every reference to a component, and names every operation once', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference);
  const { schemas } = document['components'] as { schemas: Readonly<Record<string, unknown>> };
  const ids = Object.values(document['paths'] as Paths)
    .flatMap((operations) => Object.values(operations))
    .map((operation) => operation['operationId']);

  expect(new Set(references).size).toBeGreaterThan(10);
  for (const reference of references) expect(Object.keys(schemas)).toContain(reference?.split('/').at(-1));
  expect(new Set(ids).size).toBe(ids.length);
});

it('describes inputs by the schemas that check them', () => {
  const paths = document['paths'] as Paths;
  const put = paths['/v1/applications/{application}/environments/{environment}']?.['put'];
  const list = paths['/v1/runs']?.['get'];

  expect(put).toMatchObject({
    requestBody: {
      content: { 'application/json': { schema: { properties: { replicas: { minimum: 0, maximum: 50 } } } } },
    },
    parameters: [
      { name: 'application', in: 'path', required: true },
      { name: 'environment', in: 'path', required: true },
    ],
  });
  expect(list?.['parameters']).toContainEqual(expect.objectContaining({ name: 'limit', in: 'query', required: false }));
});

it('catches an answer that is not as documented: the suite holds every answer against it', () => {
  const check = checkerOf(document);
  const answer = { method: 'GET', path: '/healthz', status: 200, contentType: 'application/json; charset=utf-8' };

  expect(() => check({ ...answer, text: '{"status":"ok"}' })).not.toThrow();
  expect(() => check({ ...answer, text: '{"status":"fine"}' })).toThrow('not as documented');
  expect(() => check({ ...answer, status: 404, contentType: 'text/html', text: '' })).toThrow('no problem+json');
});
