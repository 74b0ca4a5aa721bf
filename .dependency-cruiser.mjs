// CONVENTIONS, section 1, as allow-lists: what a room may import is listed, all else is a violation.
// test/integration/rules/dependency-rules.test.ts holds a violating file against every rule.
const core = '^src/core/';
const ports = '^src/ports/';
const own = '^(src|activities|workflows|test|scripts)/';

// The rooms below src/adapters, each with the packages that it may use.
const adapters = {
  'executor/job': [],
  'executor/process': [],
  'executor/docker': ['dockerode'],
  engine: ['dockerode'],
  'image/docker': [
    '@balena/dockerignore',
    '@grpc/grpc-js',
    'dockerfile-ast',
    'dockerode',
    'protobufjs',
    'tar-stream',
    'zod',
  ],
  front: ['httpxy', 'zod'],
  host: ['zod'],
  'target/docker': ['dockerode', 'tar-stream', 'zod'],
  'target/process': ['zod'],
  'trust/exec': ['zod'],
  'trust/settings': ['zod'],
  'trust/static': ['zod'],
  git: [],
  store: ['kysely', 'pg'],
  'blob/folder': [],
  log: [],
  tool: [],
  temporal: ['@temporalio/client', '@temporalio/common', '@temporalio/worker', '@temporalio/proto', '@grpc/grpc-js'],
  secret: [],
  status: ['@octokit/request'],
};

/** Rooms that are no adapter of a port themselves: files and processes of this host (ADR 0016), the client of the container engine (ADR 0009), the front of all targets (ADR 0011), a job's files and script (ADR 0010), settings of trusts (ADR 0015). */
function neutral(name) {
  return [
    '^src/adapters/host/',
    ...(name.endsWith('/docker') ? ['^src/adapters/engine/'] : []),
    ...(name.startsWith('target/') ? ['^src/adapters/front/'] : []),
    ...(name.startsWith('executor/') ? ['^src/adapters/executor/job/'] : []),
    ...(name.startsWith('trust/') ? ['^src/adapters/trust/settings/'] : []),
  ];
}

/** Everything that is not listed is a violation; Node's own modules only with `node`. */
function room(name, path, paths, { packages = [], node = false, pathNot } = {}) {
  return {
    name,
    severity: 'error',
    from: { path, ...(pathNot && { pathNot }) },
    to: {
      pathNot: [...paths, ...packages.map((one) => `^node_modules/(@types/)?${one}/`)],
      ...(node && { dependencyTypesNot: ['core'] }),
    },
  };
}

function typesOnly(name, path, to, toNot) {
  return {
    name,
    severity: 'error',
    from: { path },
    to: { path: to, ...(toNot && { pathNot: toNot }), dependencyTypesNot: ['type-only'] },
  };
}

function nobody(name, path, fromNot) {
  return { name, severity: 'error', from: { pathNot: fromNot }, to: { path } };
}

const messages = '^workflows/messages\\.ts$';
const temporalClient = ['@temporalio/client', '@temporalio/common'];

export default {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    room('core', core, [core], { pathNot: '^src/core/plan/' }),
    room('core-plan', '^src/core/plan/', [core], { packages: ['zod', 'js-yaml'] }),
    room('ports', ports, [core, ports]),
    ...Object.entries(adapters).map(([name, packages]) =>
      room(
        `adapter-${name.replace('/', '-')}`,
        `^src/adapters/${name}/`,
        [core, ports, `^src/adapters/${name}/`, ...neutral(name)],
        {
          packages,
          node: true,
        },
      ),
    ),
    {
      name: 'adapter-unlisted',
      severity: 'error',
      from: {},
      to: {
        path: '^src/adapters/',
        pathNot: Object.keys(adapters).map((name) => `^src/adapters/${name}/`),
      },
    },
    room('activities', '^activities/', ['^activities/', core, ports], {
      packages: ['@temporalio/activity', '@temporalio/common'],
      pathNot: '^activities/types\\.ts$',
    }),
    room('activity-types', '^activities/types\\.ts$', [core]),
    room(
      'workflows',
      '^workflows/',
      [
        '^workflows/',
        '^src/core/(model|graph|scheduler|lock|gate)/',
        '^src/core/errors\\.ts$',
        '^activities/types\\.ts$',
      ],
      { packages: ['@temporalio/workflow', '@temporalio/common'] },
    ),
    typesOnly('workflows-activities', '^workflows/', '^activities/'),
    room('api', '^src/api/', ['^src/api/', core, ports, '^workflows/'], {
      packages: ['express', 'rate-limiter-flexible', 'standardwebhooks', 'zod', ...temporalClient],
      node: true,
    }),
    typesOnly('api-workflows', '^src/api/', '^workflows/', messages),
    room('dispatch', '^src/dispatch/', ['^src/dispatch/', core, ports, '^workflows/'], { packages: temporalClient }),
    typesOnly('dispatch-workflows', '^src/dispatch/', '^workflows/', messages),
    // Of the API the relay takes what knows neither store nor engine: both are doors for the same deliveries.
    room(
      'relay',
      '^src/relay/',
      ['^src/relay/', core, ports, '^src/api/(delivery|problem|rate-limit|serve|signature)\\.ts$'],
      {
        packages: ['express', 'zod'],
        node: true,
      },
    ),
    room('cli', '^src/cli/', ['^src/cli/', '^src/api/', '^src/core/(plan|model)/', '^src/core/errors\\.ts$'], {
      packages: ['commander', 'eventsource-parser'],
      node: true,
    }),
    {
      name: 'web',
      severity: 'error',
      from: { path: '^src/web/' },
      to: { path: own, pathNot: ['^src/web/', '^src/api/'] },
    },
    typesOnly('clients-api', '^src/(cli|web)/', '^src/api/'),
    nobody('main-is-a-root', '^src/main/', '^(src/main|test|scripts)/'),
    nobody('test-is-a-root', '^test/', '^(test/|vitest\\.config\\.ts$)'),
    {
      name: 'config-in-main',
      severity: 'error',
      from: { path: own, pathNot: '^(src/main/|src/config\\.ts$|test/|scripts/)' },
      to: { path: '^src/config\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    room(
      'config',
      '^src/config(uration-(error|schema|variables))?\\.ts$',
      ['^src/configuration-(error|schema|variables)\\.ts$'],
      {
        packages: ['zod'],
        node: true,
      },
    ),
    {
      name: 'no-dev',
      severity: 'error',
      from: { path: '^(src/(?!web/)|activities/|workflows/)' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg'], dependencyTypesNot: ['type-only', 'npm'] },
    },
  ],
  options: {
    doNotFollow: { path: '^node_modules' },
    exclude: { path: '^(dist|coverage|\\.cache|\\.loam|test/fixtures)/' },
    tsPreCompilationDeps: true, // else an `import type` is invisible
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node', 'default'] },
  },
};
