// An application whose every part tells all that it knows.

/** Fails once with its token on standard error, as a careless program would. */
export const tokenProgram = `import { existsSync, readFileSync, writeFileSync } from 'node:fs';
const folder = process.argv[2];
const token = readFileSync(folder + '/token', 'utf8');
if (!existsSync(folder + '/failed')) {
  writeFileSync(folder + '/failed', '');
  process.stderr.write('the server refused "Authorization: Bearer ' + token + '"');
  process.exit(1);
}
process.stdout.write(JSON.stringify({ token, expires_in: 20 }));
`;

/** Prints its secret in every form that it can think of. */
export const tell = `const secret = process.env.API_KEY;
console.log('plain', secret);
console.log('base64', Buffer.from(secret).toString('base64'), Buffer.from('user:' + secret).toString('base64'));
console.log('address', encodeURIComponent(secret));
console.log('json', JSON.stringify({ secret }));
process.stdout.write('halves ' + secret.slice(0, 20));
setTimeout(() => console.log(secret.slice(20)), 300);
setTimeout(() => console.log('done'), 1_500);
`;

/** Tells all it knows, then answers hashes; the second version only tells. */
export function server(isWell: boolean): string {
  return `import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
const token = readFileSync(process.env.LOAM_TRUST_TOKEN_FILE, 'utf8');
const { PASSWORD } = process.env;
console.log('password', PASSWORD, Buffer.from(PASSWORD).toString('base64'));
console.error('token', token);
${isWell ? '' : 'process.exit(3);'}
const hash = (text) => createHash('sha256').update(text).digest('hex');
const server = http.createServer((request, response) => response.end(hash(PASSWORD) + ' ' + hash(token)));
server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeAllConnections(); });
`;
}

export function plan(literal: string): string {
  return `version: 1
applications:
  secretive: {start: node server.mjs, config: {PASSWORD: {secret: password}}}
environments:
  staging: {compute: process, trust_token: ${literal}}
workflow:
  tell: {type: repo_job, cmd: node tell.mjs, env: {API_KEY: {secret: api-key}}}
  build: {type: build_image, depends_on: tell, cmd: 'echo "$API_KEY"', env: {API_KEY: {secret: api-key}}}
  template: {type: generate_template, image: {get_output: build.digest}}
  approve: {type: approval, environment: staging, depends_on: template}
  staging: {type: deploy_stack, environment: staging, depends_on: approve, template: {get_output: template}, timeout: 60s}
`;
}
