import { z } from 'zod';
import { roles } from './route.ts';
import type { Access, Route } from './route.ts';
import { ProblemDocument } from './schema.ts';

type Json = Record<string, unknown>;

/** OpenAPI 3.1 of the route table: what checks the requests also describes them. */
export function makeOpenApi(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method] = describeRoute(route);
  return {
    openapi: '3.1.0',
    info: { title: 'Loam', version, description: 'Takes a git commit to production as one durable workflow.' },
    components: {
      schemas: { Problem: schemaOf(ProblemDocument, 'output') },
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
    },
    paths,
  };
}

function describeRoute(route: Route): Json {
  const success =
    route.answer === 'stream'
      ? { description: 'OK' }
      : { description: 'OK', content: { 'application/json': { schema: schemaOf(route.answer, 'output') } } };
  const problem = { $ref: '#/components/schemas/Problem' };
  return {
    summary: route.summary,
    description: describeAccess(route.access),
    security: isOpen(route.access) ? [] : [{ bearer: [] }],
    parameters: [...parameters(route.params, 'path'), ...parameters(route.query, 'query')],
    ...(route.body !== undefined && {
      requestBody: { content: { 'application/json': { schema: schemaOf(route.body, 'input') } } },
    }),
    responses: {
      [route.status]: success,
      default: { description: 'Problem', content: { 'application/problem+json': { schema: problem } } },
    },
  };
}

function isOpen(access: Access): boolean {
  return access === 'public' || access === 'trigger';
}

function describeAccess(access: Access): string {
  if (access === 'public') return 'Needs no token.';
  if (access === 'trigger') return 'Needs the signature of the trigger.';
  return `Roles: ${roles.slice(roles.indexOf(access)).join(', ')}.`;
}

function parameters(schema: z.ZodType, place: 'path' | 'query'): Json[] {
  const described = schemaOf(schema, 'input');
  const required = Array.isArray(described['required']) ? described['required'] : [];
  return Object.entries((described['properties'] ?? {}) as Json).map(([name, one]) => {
    return { name, in: place, required: place === 'path' || required.includes(name), schema: one };
  });
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const described: Json = { ...z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline' }) };
  delete described['$schema'];
  return described;
}
