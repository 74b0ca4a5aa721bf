import { z } from 'zod';
import { DomainError } from '../errors.ts';
import { jsonPointer } from '../graph/json-pointer.ts';
import { isApplicationName, isDigest, isEnvironmentName } from '../model/ids.ts';
import type { Template } from '../template/template.ts';
import { application, environment } from './v1/schema.ts';
import { maxPlanBytes } from './yaml.ts';

const setting = z.union([
  z.strictObject({ literal: z.string().max(4096) }),
  z.strictObject({ secret: z.string().max(60) }),
]);

const template = z.strictObject({
  version: z.literal(1),
  application: z.string().refine(isApplicationName),
  environment: z.optional(z.string().refine(isEnvironmentName)),
  compute: environment.shape.compute,
  image: z.optional(z.string().refine(isDigest)),
  start: application.shape.start,
  port: application.shape.port,
  health: z
    .string()
    .regex(/^\/[^\s#]*$/)
    .max(200),
  config: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/), setting),
  services: z.array(z.string().max(40)).max(20),
});

function readJson(text: string): unknown {
  if (text.length > maxPlanBytes) throw new DomainError('template-invalid', 'The template is larger than 512 kB');
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DomainError('template-invalid', 'The template is not JSON', { cause });
  }
}

/** Reads a template from its blob, which may come from another version of Loam or from a hostile hand. Throws `template-invalid` with a problem per place. */
export function parseTemplate(text: string): Template {
  const result = template.safeParse(readJson(text));
  if (!result.success) {
    const problems = result.error.issues.map(({ path, message }) => ({ pointer: jsonPointer(path), message }));
    throw new DomainError('template-invalid', 'The template does not have the form that a deploy needs', { problems });
  }
  const { data } = result;
  return {
    ...data,
    application: data.application,
    environment: data.environment,
    compute: data.compute,
    image: data.image,
    start: data.start,
    port: data.port,
  };
}
