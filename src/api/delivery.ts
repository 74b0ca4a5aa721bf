import { z } from 'zod';
import { DomainError } from '../core/errors.ts';
import type { Problem } from '../core/errors.ts';
import type { DeliverySource, Push } from '../core/model/delivery.ts';
import { firstLine } from '../core/model/foreign-text.ts';
import type { Sha } from '../core/model/ids.ts';
import { isSha } from '../core/model/ids.ts';
import { parseJson } from './json.ts';

/** Headers as Node gives them, in lower case. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

export type ParsedDelivery =
  | { readonly type: 'ping' }
  /** Signed, but an event that says nothing about a head. */
  | { readonly type: 'other'; readonly event: string }
  | { readonly type: 'push'; readonly source: DeliverySource; readonly deliveryId: string; readonly push: Push };

export const maxDeliveryBytes = 1_048_576;

const zeroSha = '0'.repeat(40);

const ShaOrNone = z
  .string()
  .refine((text) => isSha(text), 'a full commit id: 40 hexadecimal digits in lower case')
  .transform((text) => (isSha(text) && text !== zeroSha ? text : undefined));
const Ref = z
  .string()
  .max(300)
  // The rules of git that matter here: no control character, no space, nothing that a shell or a URL would read.
  .regex(/^refs\/[^\p{Cc}\s~^:?*[\\]+$/u, 'a full ref name, such as refs/heads/main');
const ForeignText = z
  .string()
  .nullish()
  .transform((text) => firstLine(text ?? ''));

/** Loam's own format, for hooks and any forge. */
export const GenericBody = z.object({
  repository: z.string().max(2_000).nullish(),
  ref: Ref,
  before: ShaOrNone,
  after: ShaOrNone,
  pushed_at: z.iso.datetime({ offset: true }),
  message: ForeignText,
  author: ForeignText,
});

export const GitHubBody = z.object({
  ref: Ref,
  before: ShaOrNone,
  after: ShaOrNone,
  head_commit: z.object({ message: ForeignText, author: z.object({ name: ForeignText }).nullish() }).nullish(),
  /** Seconds since 1970. */
  repository: z.object({ pushed_at: z.int().nonnegative().max(1e11) }),
});

const DeliveryId = z.string().regex(/^[\x21-\x7e]{1,200}$/, 'at most 200 printable characters without a space');

/** Reads a body whose signature has been checked. Throws `input-invalid`. */
export function readDelivery(headers: Headers, body: Buffer): ParsedDelivery {
  const event = header(headers, 'x-github-event');
  if (event === 'ping') return { type: 'ping' };
  if (event !== undefined && event !== 'push') return { type: 'other', event: event.slice(0, 50) };
  const contentType = header(headers, 'content-type') ?? '';
  if (!/^application\/json\s*(;|$)/i.test(contentType)) {
    throw new DomainError(
      'input-invalid',
      'Send the delivery as JSON: set the content type of the webhook to application/json',
    );
  }
  const json = parseJson(body);
  return event === 'push' ? readGitHub(headers, json) : readGeneric(headers, json);
}

export function header(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

function readGeneric(headers: Headers, json: unknown): ParsedDelivery {
  const deliveryId = check(DeliveryId, header(headers, 'x-loam-delivery'), '/headers/x-loam-delivery');
  const body = check(GenericBody, json, '/body');
  const push = makePush(body, Date.parse(body.pushed_at), body.message, body.author);
  return { type: 'push', source: sourceOf(headers), deliveryId, push };
}

/** The signature does not cover it and it decides nothing: the digest of the signed body is what tells deliveries apart. */
function sourceOf(headers: Headers): DeliverySource {
  return header(headers, 'x-loam-source') === 'hook' ? 'hook' : 'webhook';
}

function readGitHub(headers: Headers, json: unknown): ParsedDelivery {
  const deliveryId = check(DeliveryId, header(headers, 'x-github-delivery'), '/headers/x-github-delivery');
  const body = check(GitHubBody, json, '/body');
  const { message = '', author } = body.head_commit ?? {};
  const push = makePush(body, body.repository.pushed_at * 1000, message, author?.name ?? '');
  return { type: 'push', source: 'webhook', deliveryId, push };
}

interface Head {
  readonly ref: string;
  readonly before: Sha | undefined;
  readonly after: Sha | undefined;
}

function makePush({ ref, before, after }: Head, pushedAtMs: number, message: string, author: string): Push {
  return { ref, before, after, pushedAtMs, message, author };
}

/** Throws `input-invalid` with every problem and its place. */
export function check<Schema extends z.ZodType>(schema: Schema, value: unknown, place: string): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue): Problem => {
    return { pointer: [place, ...issue.path.map(String)].join('/'), message: issue.message };
  });
  const [first] = problems;
  throw new DomainError('input-invalid', `${first?.pointer ?? place}: ${first?.message ?? 'not valid'}`, { problems });
}
