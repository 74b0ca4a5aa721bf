import { z } from 'zod';
import { roles } from '../core/model/access.ts';
import { defineRoute } from './route.ts';
import type { Access, Route, Scope } from './route.ts';
import { ProblemDocument } from './schema.ts';

type Json = Record<string, unknown>;

/** The route that serves the document of all routes, itself among them. */
export function documentRoute(others: readonly Route[], version: string): Route {
  const own = defineRoute({
    method: 'get',
    path: '/v1/openapi.json',
    access: 'public',
    scope: 'none',
    summary: 'This document: OpenAPI 3.1 of all routes',
    answer: z.record(z.string(), z.unknown()),
    handle: () => Promise.resolve(document),
  });
  const document = makeOpenApi([...others, own], version);
  return own;
}

/** OpenAPI 3.1 of the route table: what checks the requests also describes them. */
function makeOpenApi(routes: readonly Route[], version: string): Json {
  const schemas: Record<string, Json> = {};
  const problem = schemaOf(ProblemDocument, 'output', schemas);
  const paths: Record<string, Json> = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method] = describeRoute(route, problem, schemas);
  return {
    openapi: '3.1.0',
    info: { title: 'Loam', version, description: 'Takes a git commit to production as one durable workflow.' },
    components: { schemas, securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
    paths,
  };
}

function describeRoute(route: Route, problem: Json, schemas: Record<string, Json>): Json {
  const successes = Object.entries(route.answers).map(([status, media]) => {
    const content = Object.entries(media).map(([type, schema]) => {
      return [type, { schema: schemaOf(schema, 'output', schemas) }];
    });
    return [status, { description: 'OK', content: Object.fromEntries(content) as Json }];
  });
  const body = route.body && { schema: schemaOf(route.body, 'input', schemas) };
  return {
    operationId: `${route.method} ${route.path}`.replaceAll(/\W+/g, '_').replace(/_$/, ''),
    summary: route.summary,
    description: describeAccess(route),
    security: isOpen(route.access) ? [] : [{ bearer: [] }],
    parameters: [...parameters(route.params, 'path', schemas), ...parameters(route.query, 'query', schemas)],
    ...(body && { requestBody: { content: { 'application/json': body } } }),
    responses: {
      ...(Object.fromEntries(successes) as Json),
      default: { description: 'Problem', content: { 'application/problem+json': { schema: problem } } },
    },
  };
}

const places: Readonly<Record<Scope, string>> = {
  none: 'without a token',
  loam: 'held in all of Loam',
  application: 'held in all of Loam or in this application',
  environment: 'held in all of Loam, in this application or in this environment',
  gate: "held in all of Loam, in this application or in the gate's environment",
  seen: 'the answer holds the applications that the token has a role in',
};

function isOpen(access: Access): boolean {
  return access === 'public' || access === 'trigger';
}

function describeAccess({ access, scope }: Route): string {
  if (access === 'public') return 'Needs no token.';
  if (access === 'trigger') return 'Needs the signature of the trigger.';
  return `Roles: ${roles.slice(roles.indexOf(access)).join(', ')}; ${places[scope]}.`;
}

function parameters(schema: z.ZodType, place: 'path' | 'query', schemas: Record<string, Json>): Json[] {
  const described = schemaOf(schema, 'input', schemas);
  const required = Array.isArray(described['required']) ? described['required'] : [];
  return Object.entries((described['properties'] ?? {}) as Json).map(([name, one]) => {
    return { name, in: place, required: place === 'path' || required.includes(name), schema: one };
  });
}

/** Named schemas move to the components of the document, where a reference from anywhere finds them. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output', schemas: Record<string, Json>): Json {
  const text = JSON.stringify(z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline' }));
  const own = JSON.parse(text.replaceAll('#/$defs/', '#/components/schemas/')) as Json;
  for (const [name, one] of Object.entries((own['$defs'] ?? {}) as Record<string, Json>)) {
    schemas[name] = without(one, 'id');
  }
  const rest = without(own, '$schema', '$defs', 'id');
  const { id: name } = own;
  if (typeof name !== 'string') return rest;
  schemas[name] = rest;
  return { $ref: `#/components/schemas/${name}` };
}

/** The key of a component says what zod calls `id`. */
function without(schema: Json, ...keys: readonly string[]): Json {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !keys.includes(key)));
}
