import { request } from '@octokit/request';
import { DomainError } from '../../core/errors.ts';
import { firstLine } from '../../core/model/foreign-text.ts';
import type { StatusSender } from '../../ports/commit-status.ts';

/** GitHub's own bound. */
const maxDescriptionLength = 140;

/** Statuses of commits at GitHub, or what speaks its API. */
export function createGitHubStatus(): StatusSender {
  return {
    async send({ apiUrl, repository, token }, { commit, context, state, description, url }, signal) {
      const [owner = '', repo = ''] = repository.split('/');
      try {
        await request('POST /repos/{owner}/{repo}/statuses/{sha}', {
          ...{ baseUrl: apiUrl, owner, repo, sha: commit, state, context, target_url: url },
          description: Array.from(firstLine(description)).slice(0, maxDescriptionLength).join(''),
          headers: {
            authorization: `Bearer ${token.reveal()}`,
            'user-agent': 'loam',
            'x-github-api-version': '2022-11-28',
          },
          request: { signal },
        });
      } catch (error) {
        throw translate(error);
      }
    },
  };
}

/** Without the cause: it holds the request, and with it the token (I7). */
function translate(error: unknown): DomainError {
  const { status, headers, text } = read(error);
  const isLimited = status === 429 || (status === 403 && isRateLimit(headers));
  if (status < 400 || status >= 500 || status === 408 || isLimited)
    return new DomainError('status-unavailable', `the forge does not take the status now: ${text}`);
  return new DomainError('status-refused', `the forge refuses the status: ${text}`);
}

interface Refusal {
  /** 0: there was no answer. */
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

/** GitHub's limits are a 403 of this kind. */
function isRateLimit(headers: Refusal['headers']): boolean {
  return headers['retry-after'] !== undefined || headers['x-ratelimit-remaining'] === '0';
}

function read(error: unknown): Refusal {
  const status = fieldOf(error, 'status');
  const response = fieldOf(error, 'response');
  if (typeof status !== 'number' || response === undefined)
    return { status: 0, headers: {}, text: 'it does not answer' };
  const headers = fieldOf(response, 'headers');
  const message = fieldOf(fieldOf(response, 'data'), 'message');
  const text = `${status} ${typeof message === 'string' ? firstLine(message) : ''}`.trim();
  return { status, headers: typeof headers === 'object' ? { ...headers } : {}, text };
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
