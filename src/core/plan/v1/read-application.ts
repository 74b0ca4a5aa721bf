import { quote } from '../../graph/nearest-name.ts';
import { isApplicationName } from '../../model/ids.ts';
import type { PlanApplication } from '../plan.ts';
import type { PlanReader } from './reader.ts';
import { application } from './schema.ts';
import type { z } from 'zod';

type Written = z.infer<typeof application>;

const withPassword = /^[a-z+.-]+:\/\/[^/@\s]*:[^/@\s]*@/i;

function readGitUrl(reader: PlanReader, path: readonly string[], url: string | undefined): string | undefined {
  if (url === undefined || !withPassword.test(url)) return url;
  const remedy = 'Take the password out of the address. It is dropped.';
  reader.report('literal-secret', [...path, 'git_url'], 'The address holds a password', remedy);
  return undefined;
}

function readServices(reader: PlanReader, path: readonly string[], written: Written['services']): readonly string[] {
  if (typeof written !== 'string') return written ?? [];
  const names = written.split(/[\s,]+/).filter((name) => name !== '');
  const remedy = `Write a list: [${names.slice(0, 10).join(', ')}].`;
  reader.report(
    'services-as-text',
    [...path, 'services'],
    'The services are one text; it is read as a list of names',
    remedy,
  );
  for (const name of names.filter((one) => !isServiceName(one))) {
    const rule = 'Write lower-case letters, digits, hyphens and underscores, at most 40, beginning with a letter.';
    reader.report('name-invalid', [...path, 'services'], `${quote(name)} is not the name of a service`, rule);
  }
  return names;
}

function isServiceName(text: string): boolean {
  return /^[a-z][a-z0-9_-]{0,39}$/.test(text);
}

/** One entry of `applications`; undefined when it is wrong, which is reported. */
export function readApplication(reader: PlanReader, name: string, raw: unknown): PlanApplication | undefined {
  const path = ['applications', name];
  if (!isApplicationName(name)) {
    const remedy = 'Write lower-case letters, digits and hyphens, at most 40, beginning with a letter.';
    reader.report('name-invalid', path, `${quote(name)} is not an allowed name of an application`, remedy);
    return undefined;
  }
  const part = { path, title: `application ${quote(name)}`, keys: Object.keys(application.shape) };
  const written = reader.check(part, application, raw ?? {});
  if (written === undefined) return undefined;
  return {
    name,
    start: written.start === undefined ? undefined : reader.command([...path, 'start'], written.start),
    port: written.port,
    health: written.health ?? '/',
    config: reader.settings([...path, 'config'], written.config),
    services: readServices(reader, path, written.services),
    gitUrl: readGitUrl(reader, path, written.git_url),
  };
}
