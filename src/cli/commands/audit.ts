import type { AuditView } from '../../api/routes/audit.ts';
import { addCommand, addGroup, segment, textOption } from '../command.ts';
import type { Registry } from '../command.ts';
import { exitCodes } from '../failure.ts';
import { table } from '../text.ts';

export function auditCommands(registry: Registry): void {
  const group = addGroup(registry, 'audit', 'who changed what, or tried to');
  addCommand(
    registry,
    group,
    {
      usage: 'list',
      summary: 'list the calls that would change something, newest first',
      examples: ['loam audit list', 'loam audit list --token ann --limit 200', 'loam audit list --json'],
      more: 'An outcome "unknown" is of a call that is under way, or that Loam died in.',
    },
    async ({ client, show }, _args, options) => {
      const query = ['limit', 'before', 'token'].flatMap((name) => {
        const value = textOption(options, name);
        return value === undefined ? [] : [`${name}=${segment(value)}`];
      });
      const document = await client.request<{ entries: AuditView[] }>('GET', `/v1/audit?${query.join('&')}`);
      show(document, () => drawEntries(document.entries));
      return exitCodes.ok;
    },
  )
    .option('--limit <count>', 'at most so many (default 50, at most 500)')
    .option('--before <number>', 'only entries older than this one')
    .option('--token <name>', 'only calls with this token');
}

function drawEntries(entries: readonly AuditView[]): string {
  if (entries.length === 0) return 'Nothing was changed yet.\n';
  return table(
    entries.map(({ number, at, token, address, method, path, details, status, code }) => [
      `#${number}`,
      at,
      token,
      address,
      status === null ? 'unknown' : `${status}${code === null ? '' : ` ${code}`}`,
      `${method} ${path}`,
      Object.keys(details).length === 0 ? '' : JSON.stringify(details),
    ]),
  );
}
