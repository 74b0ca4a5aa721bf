// The process that Loam starts for each release: `start: node server.mjs` in loam.yaml.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { answer, readPort, readSettings } from './app.mjs';

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
const settings = readSettings(process.env, version);

const server = createServer((request, response) => {
  const [path] = request.url.split('?');
  const { status, body } = answer(settings, request.method, path);
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(request.method === 'HEAD' ? undefined : `${JSON.stringify(body)}\n`);
});

server.listen(readPort(process.env.PORT), process.env.HOST ?? '127.0.0.1', () => {
  console.log(`thingy ${version}, release ${settings.release}, listens on port ${server.address().port}`);
});

// A deploy replaces this process while people use it: finish what has begun, take nothing new, then end.
// Connections that are kept open between two requests would hold the end up, so they are closed.
process.once('SIGTERM', () => {
  console.log('thingy finishes its last requests');
  server.close();
  setInterval(() => server.closeIdleConnections(), 100).unref();
  server.closeIdleConnections();
});
