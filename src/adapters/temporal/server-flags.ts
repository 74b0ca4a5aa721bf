import { searchAttributes } from './namespace.ts';

export interface ServerFlagOptions {
  readonly namespace: string;
  readonly port: number;
  readonly uiPort: number;
  readonly database: string;
  readonly forTests?: boolean;
  readonly withoutTuning?: boolean;
}

/**
 * `transferProcessorMaxPollRPS` is the one that matters: at its default a lone workflow waits 50 ms for each dispatch, 101 ms a hop instead of 12.
 * The server takes unknown keys in silence, so a test measures their effect.
 */
const tuning = [
  'history.transferProcessorMaxPollRPS=1000',
  'history.timerProcessorMaxPollRPS=1000',
  'matching.numTaskqueueReadPartitions=1',
  'matching.numTaskqueueWritePartitions=1',
];

export function serverFlags(options: ServerFlagOptions): readonly string[] {
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(options.port)],
    ...['--namespace', options.namespace, '--db-filename', options.database],
    // NORMAL survives the death of the process; the default journal costs half the speed.
    ...['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', 'synchronous=1'],
    ...['--log-format', 'json', '--log-level', 'warn'],
    ...(options.forTests === true
      ? ['--headless']
      : ['--ui-ip', '127.0.0.1', '--ui-port', String(options.uiPort), '--ui-disable-news-fetch']),
    ...dynamicConfig(options).flatMap((value) => ['--dynamic-config-value', value]),
    ...Object.keys(searchAttributes).flatMap((name) => ['--search-attribute', `${name}=${attributeType(name)}`]),
  ];
}

function dynamicConfig({ forTests = false, withoutTuning = false }: ServerFlagOptions): readonly string[] {
  return [
    ...(withoutTuning ? [] : tuning),
    `history.timerProcessorMaxTimeShift="${forTests ? '10ms' : '100ms'}"`, // else timers fire up to 1 s late
    'frontend.enableServerVersionCheck=false', // asks the internet
    'system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=2',
    ...(forTests ? ['frontend.WorkflowTimeSkippingEnabled=true'] : []),
  ];
}

function attributeType(name: string): string {
  return name === 'LoamEnvironment' ? 'KeywordList' : 'Keyword';
}
