// Asks a deployed thingy whether it works: URL=http://127.0.0.1:8080 node smoke.mjs
// In loam.yaml the URL comes from the deploy: env: {URL: {get_output: staging.url}}
import assert from 'node:assert/strict';

const url = process.env.URL;
assert.ok(url, 'URL says which thingy to ask');

async function get(path) {
  const response = await fetch(new URL(path, url), { signal: AbortSignal.timeout(10_000) });
  return { status: response.status, body: await response.json() };
}

const health = await get('/health');
assert.equal(health.status, 200);
assert.deepEqual(health.body, { status: 'ok' });

const home = await get('/');
assert.equal(home.status, 200);
assert.equal(typeof home.body.greeting, 'string');
assert.notEqual(home.body.greeting, '');

const missing = await get('/nothing-here');
assert.equal(missing.status, 404);

console.log(`${url} greets with "${home.body.greeting}" (release ${home.body.release})`);
