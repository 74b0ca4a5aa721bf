import type { TriggerAnswer } from '../../api/delivery-view.ts';
import { addCommand, segment } from '../command.ts';
import type { Registry, Tools } from '../command.ts';
import { usage } from '../failure.ts';
import { showStart } from './run.ts';

type Options = Readonly<Record<string, unknown>>;

const more =
  'It is a run like any other: it waits for the lock, and a protected environment asks for an approval. With --wait the exit code is 0 when it succeeded or waits at a gate, and 1 when it did not.';
const wait = ['--wait', 'show how the run goes, until its end or its gate'] as const;

export function redeployCommands(registry: Registry): void {
  addCommand(
    registry,
    registry.program,
    {
      usage: 'rollback <application> <environment> [release]',
      summary: 'deploy an earlier release once more, with its artifact and its settings',
      examples: ['loam rollback thingy production', 'loam rollback thingy production 12 --wait'],
      more: `Without a number it is the release that was live before the one that is live now. ${more}`,
    },
    async (tools, [application, environment, release], options) => {
      const body = release === undefined ? {} : { release: readNumber(release, 'a release') };
      return start(tools, pathOf(application, environment, 'rollback'), body, options);
    },
  ).option(...wait);
  addCommand(
    registry,
    registry.program,
    {
      usage: 'scale <application> <environment> <replicas>',
      summary: 'deploy the live release with another number of replicas',
      examples: ['loam scale thingy production 3'],
      more,
    },
    async (tools, [application, environment, replicas], options) =>
      start(
        tools,
        pathOf(application, environment, 'scale'),
        { replicas: readNumber(replicas, 'a number of replicas') },
        options,
      ),
  ).option(...wait);
}

function pathOf(application: string | undefined, environment: string | undefined, action: string): string {
  return `/v1/applications/${segment(application)}/environments/${segment(environment)}/${action}`;
}

function readNumber(text: string | undefined, what: string): number {
  if (text !== undefined && /^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw usage(`"${text ?? ''}" is not ${what}: it is a whole number from 1 on`);
}

async function start(tools: Tools, path: string, body: object, options: Options): Promise<number> {
  const headers = { 'idempotency-key': crypto.randomUUID() };
  return showStart(tools, await tools.client.request<TriggerAnswer>('POST', path, body, headers), options);
}
