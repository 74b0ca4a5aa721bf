import { describeVariables } from '../src/config.ts';

/** docs/configuration.md */
export function renderConfigurationPage(): string {
  const rows = describeVariables().map(
    ({ name, standard, description }) => `| \`${name}\` | ${standard === '' ? '' : standard} | ${description} |`,
  );
  return [
    '<!-- Generated from src/config.ts by `npm run docs`; a test fails when they differ. -->',
    '# Configuration',
    '',
    'Loam is configured by environment variables alone, read once when a process starts. Everything has a default.',
    'An unknown name that begins with `LOAM_` is refused, and all problems are reported at once. An empty value counts as not set.',
    'Secrets can also be given by a file: the variable with `_FILE` names it.',
    '',
    '| Variable | Default | Meaning |',
    '| --- | --- | --- |',
    ...rows,
    '',
    'Three variables that are not ours are read too: `PATH` (to find programs), `XDG_CACHE_HOME` (fetched programs lie in',
    '`$XDG_CACHE_HOME/loam`, by default `~/.cache/loam`) and `HOME`.',
    '',
  ].join('\n');
}

/** .env.example */
export function renderEnvironmentExample(): string {
  const blocks = describeVariables().map(({ name, standard, description }) =>
    [`# ${description}`, standard === '' ? undefined : `# default: ${standard}`, `#${name}=`, '']
      .filter((line) => line !== undefined)
      .join('\n'),
  );
  return [
    '# Generated from src/config.ts by `npm run docs`. Loam does not read .env by itself: copy this file, take the marks away,',
    '# then `set -a; . ./.env; set +a; npm start`.',
    '',
    ...blocks,
  ].join('\n');
}
