// Every function that is exported here becomes a workflow type.
export { environment } from './environment.ts';
export { run } from './run.ts';
