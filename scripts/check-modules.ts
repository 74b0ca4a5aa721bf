// Links every module as plain Node does, without running it. TypeScript and vitest both accept what Node refuses: a named import from a
// CommonJS package whose names Node cannot see, a type imported as a value, syntax that cannot be stripped.
// usage: node --experimental-vm-modules --no-warnings scripts/check-modules.ts
import { glob, readFile } from 'node:fs/promises';
import { isBuiltin, stripTypeScriptTypes } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { SourceTextModule, SyntheticModule } from 'node:vm';
import type { Module } from 'node:vm';

const root = path.resolve(import.meta.dirname, '..');
const modules = new Map<string, Promise<Module>>();

function load(identifier: string): Promise<Module> {
  const known = modules.get(identifier);
  if (known !== undefined) return known;
  const loaded = identifier.endsWith('.ts') ? loadFile(identifier) : loadPackage(identifier);
  modules.set(identifier, loaded);
  return loaded;
}

async function loadFile(url: string): Promise<Module> {
  const code = stripTypeScriptTypes(await readFile(fileURLToPath(url), 'utf8'));
  return new SourceTextModule(code, { identifier: url });
}

/** Packages do run: only so can their names be known. */
async function loadPackage(identifier: string): Promise<Module> {
  const names = Object.keys((await import(identifier)) as object);
  return new SyntheticModule(names, () => undefined, { identifier });
}

function link(specifier: string, from: Module): Promise<Module> {
  if (specifier.startsWith('.')) return load(new URL(specifier, from.identifier).href);
  return load(isBuiltin(specifier) ? specifier : import.meta.resolve(specifier));
}

const problems: string[] = [];
let files = 0;
for await (const file of glob('{src,activities,workflows,scripts}/**/*.ts', { cwd: root })) {
  files += 1;
  try {
    const loaded = await load(pathToFileURL(path.join(root, file)).href);
    if (loaded.status === 'unlinked') await loaded.link(link);
  } catch (error) {
    problems.push(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
for (const problem of problems) console.error(problem);
console.log(`${files} modules, ${problems.length} that Node cannot load`);
process.exit(problems.length === 0 ? 0 : 1);
