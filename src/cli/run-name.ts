import type { RunView } from '../api/schema.ts';
import type { ApiClient } from './api-client.ts';
import { segment } from './command.ts';
import { CliFailure, exitCodes, usage } from './failure.ts';

const named = /^([a-z][a-z0-9-]{0,39})(?:\/([1-9][0-9]{0,9})(?:\/([1-9][0-9]{0,4}))?)?$/;

/** `/v1/runs/thingy/12` for `thingy/12`, with `?round=2` for `thingy/12/2`; `thingy` alone is its newest run. */
export async function findRunPath(client: ApiClient, text: string | undefined): Promise<RunPath> {
  const [, application, number, round] = named.exec(text ?? '') ?? [];
  if (application === undefined)
    throw usage(`"${text ?? ''}" is not a run`, 'Write it as application/number, such as thingy/12.');
  if (number !== undefined)
    return { application, number: Number(number), query: round === undefined ? '' : `?round=${round}` };
  const { runs } = await client.request<{ runs: RunView[] }>(
    'GET',
    `/v1/runs?application=${segment(application)}&limit=1`,
  );
  const [newest] = runs;
  if (newest === undefined) {
    throw new CliFailure(exitCodes.notFound, `${application} has no runs yet`, {
      code: 'run-unknown',
      remedy: 'Push a commit, or use "loam trigger".',
    });
  }
  return { application, number: newest.number, query: '' };
}

export interface RunPath {
  readonly application: string;
  readonly number: number;
  /** With its question mark, or empty. */
  readonly query: string;
}

export function pathOf(
  { application, number, query }: RunPath,
  rest = '',
  parameters: Readonly<Record<string, string | undefined>> = {},
): string {
  const given = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${segment(value)}`],
  );
  const all = [...(query === '' ? [] : [query.slice(1)]), ...given];
  return `/v1/runs/${application}/${number}${rest}${all.length === 0 ? '' : `?${all.join('&')}`}`;
}
