// Writes every document that is generated from the sources.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { renderConfigurationPage, renderEnvironmentExample } from './configuration-docs.ts';

const root = path.resolve(import.meta.dirname, '..');
const documents = {
  'docs/configuration.md': renderConfigurationPage(),
  '.env.example': renderEnvironmentExample(),
};

for (const [file, text] of Object.entries(documents)) {
  const full = path.join(root, file);
  await mkdir(path.dirname(full), { recursive: true });
  await writeFile(full, text);
  console.log(`wrote ${file}`);
}
