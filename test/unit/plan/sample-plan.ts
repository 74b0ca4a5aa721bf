import fc from 'fast-check';

/** Names of tasks, some of which a careless program would confuse with members of every object. */
const names = ['a', 'test', 'constructor', 'toString', 'b-1', 'B_2', 'valueOf', 'z9'];

/** A plan as a value, often right, sometimes a little wrong. */
export const planValue = fc.record(
  {
    version: fc.constantFrom<unknown>(1, 1, 1, 2, '1'),
    on: fc.record({ branches: fc.array(fc.constantFrom('main', 'release/*')) }),
    defaults: fc.record({ timeout: fc.constantFrom<unknown>('90s', 60), retry: fc.nat(3) }, { requiredKeys: [] }),
    on_failure: fc.constantFrom('fail-fast', 'continue', 'stop'),
    applications: fc.dictionary(
      fc.constantFrom('thingy', 'other'),
      fc.record({ start: fc.constant('run'), health: fc.constant('/h') }),
    ),
    environments: fc.dictionary(
      fc.constantFrom('default', 'staging', 'production'),
      fc.record({ compute: fc.constantFrom('process', 'docker'), region: fc.string() }, { requiredKeys: [] }),
    ),
    workflow: fc.dictionary(
      fc.constantFrom(...names),
      fc.oneof(
        fc.record(
          { type: fc.constant('repo_job'), cmd: fc.string(), depends_on: fc.subarray(names) },
          { requiredKeys: ['type'] },
        ),
        fc.record({
          type: fc.constant('repo_job'),
          cmd: fc.constant('x'),
          env: fc.dictionary(
            fc.constantFrom('A', 'PATH', 'URL'),
            fc.oneof(fc.string(), fc.record({ get_output: fc.constantFrom('a.url', 'test', 'z9.digest') })),
          ),
        }),
        fc.record(
          { type: fc.constant('build_image'), depends_on: fc.constantFrom(...names) },
          { requiredKeys: ['type'] },
        ),
        fc.record({
          type: fc.constant('generate_template'),
          application: fc.constant('thingy'),
          image: fc.record({ get_output: fc.constantFrom('a', 'b-1.digest') }),
        }),
        fc.record({
          type: fc.constant('deploy_stack'),
          environment: fc.constantFrom('staging', 'production'),
          template: fc.record({ get_output: fc.constantFrom(...names) }),
        }),
        fc.record({
          type: fc.constant('approval'),
          environment: fc.constant('production'),
          depends_on: fc.subarray(names),
        }),
      ),
    ),
  },
  { requiredKeys: [] },
);

/** Pieces that mean something to YAML, or to us. */
export const hostilePiece = fc.constantFrom(
  ...[
    '{',
    '}',
    '[',
    ']',
    ':',
    ': ',
    ',',
    '- ',
    '\n',
    '\n  ',
    '\t',
    '"',
    "'",
    '&a ',
    '*a',
    '!!str ',
    '!x ',
    '? ',
    '| ',
    '>',
    '---\n',
    '...\n',
    '<<: ',
    '%YAML 1.2\n',
  ],
  ...[
    '__proto__: ',
    'constructor: ',
    'get_output: ',
    'type: approval',
    'depends_on: ',
    '\0',
    '\uFEFF',
    '\ud800',
    '“',
    '~',
    '#',
    '0x',
    '1e999',
    '.nan',
    'null',
    '\\',
    '\r',
  ],
);
