import type { Secret } from '../../ports/secret.ts';

/** The host's own settings for networks, keys and certificates; everything else of the environment stays out. */
const hostNames = [
  'PATH',
  'HOME',
  'USER',
  'TMPDIR',
  'GIT_SSL_CAINFO',
  'GIT_SSL_CAPATH',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'GIT_SSH_COMMAND',
  'SSH_AUTH_SOCK',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'ALL_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'all_proxy',
  'no_proxy',
];

const fixed = {
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  GIT_OPTIONAL_LOCKS: '0',
  // A repository could replace one commit by another in what we read.
  GIT_NO_REPLACE_OBJECTS: '1',
  // Later versions of git would choose others for new repositories.
  GIT_DEFAULT_HASH: 'sha1',
  GIT_DEFAULT_REF_FORMAT: 'files',
};

export type HostEnvironment = Readonly<Record<string, string | undefined>>;

export function makeGitEnvironment(host: HostEnvironment): Record<string, string> {
  const environment: Record<string, string> = {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    GIT_SSH_COMMAND: 'ssh -o BatchMode=yes',
  };
  for (const name of hostNames) {
    const value = host[name];
    if (value !== undefined) environment[name] = value;
  }
  return { ...environment, ...fixed };
}

/**
 * A token reaches git by its environment: arguments are seen by every user of the machine (I7). A server that sends git elsewhere would get the token sent
 * there too, so with a token no redirect is followed.
 */
export function makeAuthorization(authorization: Secret): Readonly<Record<string, string>> {
  return {
    GIT_CONFIG_COUNT: '2',
    GIT_CONFIG_KEY_0: 'http.extraHeader',
    GIT_CONFIG_VALUE_0: `Authorization: ${authorization.reveal()}`,
    GIT_CONFIG_KEY_1: 'http.followRedirects',
    GIT_CONFIG_VALUE_1: 'false',
  };
}

/** Before every command: no protocol but those that a source may use, no program named by a repository's files, no housekeeping in the background. */
const fixedSettings = [
  'protocol.allow=never',
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.askPass=',
  'credential.helper=',
  'gc.auto=0',
  'maintenance.auto=false',
  'submodule.recurse=false',
  'fetch.recurseSubmodules=false',
  'http.lowSpeedLimit=1000',
  'http.lowSpeedTime=60',
  'advice.detachedHead=false',
  // Trees with `..`, `.git` or the same name twice would leave the folder they are unpacked into. What old programs wrote badly but harmlessly may pass.
  'fetch.fsckObjects=true',
  'fetch.fsck.badDateOverflow=ignore',
  'fetch.fsck.badTimezone=ignore',
  'fetch.fsck.badEmail=ignore',
  'fetch.fsck.badFilemode=ignore',
  'fetch.fsck.gitmodulesParse=ignore',
  'fetch.fsck.gitmodulesUrl=ignore',
  'fetch.fsck.missingEmail=ignore',
  'fetch.fsck.missingNameBeforeEmail=ignore',
  'fetch.fsck.missingSpaceBeforeDate=ignore',
  'fetch.fsck.missingSpaceBeforeEmail=ignore',
  'fetch.fsck.multipleAuthors=ignore',
  'fetch.fsck.nullSha1=ignore',
  'fetch.fsck.zeroPaddedDate=ignore',
  'fetch.fsck.zeroPaddedFilemode=ignore',
];

export function makeSettings(protocols: readonly string[]): readonly string[] {
  const allowed = protocols.map((protocol) => `protocol.${protocol}.allow=always`);
  return [...fixedSettings, ...allowed].flatMap((setting) => ['-c', setting]);
}
