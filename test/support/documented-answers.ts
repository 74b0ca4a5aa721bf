import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

type Json = Readonly<Record<string, unknown>>;

export interface DocumentedAnswer {
  readonly method: string;
  /** Without query. */
  readonly path: string;
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

/** Holds answers of the API against its own OpenAPI document: throws when one is not as documented. */
export type CheckAnswer = (answer: DocumentedAnswer) => void;

export function checkerOf(document: Json): CheckAnswer {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema({ ...document, $id: 'openapi' });
  const validators = new Map<string, ValidateFunction>();
  const operations = Object.entries(document['paths'] as Json).flatMap(([template, methods]) =>
    Object.keys(methods as Json).map((method) => ({ method, template, pattern: patternOf(template) })),
  );
  function validatorOf(method: string, path: string, status: number, mediaType: string): ValidateFunction {
    const found = operations.find((one) => one.method === method.toLowerCase() && one.pattern.test(path));
    const documented = ['paths', found?.template ?? '', found?.method ?? '', 'responses', String(status), 'content'];
    const place = status >= 400 ? ['components', 'schemas', 'Problem'] : [...documented, mediaType, 'schema'];
    const reference = `openapi#/${place.map(escapePointer).join('/')}`;
    const validate = validators.get(reference) ?? ajv.compile({ $ref: reference });
    validators.set(reference, validate);
    return validate;
  }
  return ({ method, path, status, contentType, text }) => {
    const [mediaType = ''] = contentType.split(';');
    const name = `${method} ${path}: ${status} ${mediaType}`;
    if (status >= 400 && mediaType !== 'application/problem+json') throw new Error(`${name} is no problem+json`);
    const validate = validatorOf(method, path, status, mediaType);
    if (validate(mediaType.endsWith('json') ? JSON.parse(text) : text)) return;
    throw new Error(`${name} is not as documented: ${ajv.errorsText(validate.errors)}`);
  };
}

function patternOf(template: string): RegExp {
  return new RegExp(`^${template.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`);
}

function escapePointer(part: string): string {
  return encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));
}
