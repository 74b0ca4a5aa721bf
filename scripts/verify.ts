// usage: npm run verify [-- <check> ...]   stops at the first check that fails; with names it runs only those
import { runCheck, staticChecks, testChecks } from './checks.ts';

const all = [...staticChecks, ...testChecks];
const names = process.argv.slice(2);
const unknown = names.filter((name) => !all.some((check) => check.name === name));
if (unknown.length > 0) {
  console.error(`no check ${unknown.join(', ')}; there are: ${all.map((check) => check.name).join(', ')}`);
  process.exit(2);
}

const chosen = names.length === 0 ? all : all.filter((check) => names.includes(check.name));
const lines: string[] = [];
for (const check of chosen) {
  const { passed, seconds } = await runCheck(check);
  if (!passed) process.exit(1);
  lines.push(`  ok ${seconds.padStart(6)} s  ${check.title}`);
}
console.log(['', '==== Verified', ...lines].join('\n'));
