export interface ProblemCase {
  readonly code: string;
  readonly text: string;
  readonly at: string;
  /** Part of the remedy. */
  readonly remedy: string;
}

export const head = 'version: 1\n';
export const apps =
  'applications: {thingy: {start: run}}\nenvironments: {staging: {}, production: {}, swarm: {compute: swarm}}\n';
export const path = `  build: {type: build_image}
  template: {type: generate_template, image: {get_output: build.digest}}
  staging: {type: deploy_stack, environment: staging, template: {get_output: template}}\n`;

export function job(keys: string): string {
  return `${head}workflow: {test: {type: repo_job, cmd: tox, ${keys}}}`;
}

export function withPath(more: string): string {
  return `${head}${apps}workflow:\n${path}${more}`;
}

export function manyTasks(count: number): string {
  return Array.from({ length: count }, (_, index) => `  t${index}: {type: repo_job, cmd: tox}\n`).join('');
}
