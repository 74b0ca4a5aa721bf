import path from 'node:path';
import { DomainError } from '../../core/errors.ts';
import type { DeployKey, GitSource } from '../../ports/git.ts';
import { Secret } from '../../ports/secret.ts';

const remoteProtocols = ['https', 'http', 'ssh', 'git'];
const maxLength = 2_000;
// user@host:path, as ssh takes it; neither host nor path may look like an option.
const scpLike = /^[A-Za-z0-9_][\w.-]*@[A-Za-z0-9[][\w.:[\]-]*:[^-:][^:]*$/;
const filePrefix = 'file://';

/** What a private repository asks for. */
export type Credential =
  /** Value of the header `Authorization`. */
  { readonly type: 'header'; readonly value: Secret } | ({ readonly type: 'key' } & DeployKey);

export interface Remote {
  readonly url: string;
  /** What git may speak for it. */
  readonly protocols: readonly string[];
  /** Folder on this machine, for a source that is one. */
  readonly folder: string | undefined;
  readonly credential?: Credential;
}

function refuse(message: string): DomainError {
  return new DomainError('input-invalid', `the URL of the repository: ${message}`);
}

function isPlain(text: string): boolean {
  // eslint-disable-next-line no-control-regex -- control characters are what must not pass
  return text !== '' && text.length <= maxLength && !/[\u0000-\u0020\u007f]/.test(text.replaceAll(' ', ''));
}

/** What git may be given as a remote: a folder of this machine for local applications, else a URL without a secret. Throws `input-invalid`. */
export function parseRemote({ repositoryUrl: url, local, token, deployKey }: GitSource): Remote {
  if (!isPlain(url)) throw refuse(`1 to ${maxLength} characters without control characters`);
  const folder = url.startsWith(filePrefix) ? url.slice(filePrefix.length) : url;
  if (path.isAbsolute(folder)) {
    if (!local) throw refuse('only an application that was added on this machine may use a path');
    return { url: folder, protocols: ['file'], folder };
  }
  const remote = scpLike.test(url) ? { url, protocols: ['ssh'], folder: undefined } : parseUrl(url);
  if (deployKey !== undefined) return withKey(remote, deployKey);
  return token === undefined ? remote : withToken(remote, token);
}

const loopback = ['127.0.0.1', '[::1]', 'localhost'];

/** As forges take a token: as a password. GitHub and GitLab take any name with it; where another is needed, it stands in the URL. */
function withToken(remote: Remote, token: Secret): Remote {
  const parsed = URL.parse(remote.url);
  const mayCarry =
    parsed?.protocol === 'https:' || (parsed?.protocol === 'http:' && loopback.includes(parsed.hostname));
  if (parsed === null || !mayCarry) throw refuse('a token is only sent by https://');
  const user = parsed.username === '' ? 'x-access-token' : decodeURIComponent(parsed.username);
  parsed.username = '';
  const pair = Buffer.from(`${user}:${token.reveal()}`).toString('base64');
  return { ...remote, url: parsed.href, credential: { type: 'header', value: new Secret(`Basic ${pair}`) } };
}

function withKey(remote: Remote, deployKey: DeployKey): Remote {
  if (!remote.protocols.includes('ssh')) throw refuse('a deploy key is only for ssh:// and user@host:path');
  return { ...remote, credential: { type: 'key', ...deployKey } };
}

function parseUrl(url: string): Remote {
  const parsed = URL.parse(url);
  const protocol = parsed?.protocol.slice(0, -1) ?? '';
  if (parsed === null || !remoteProtocols.includes(protocol) || !url.startsWith(`${protocol}://`)) {
    throw refuse(`"${url.slice(0, 80)}" is none of https://, http://, ssh://, git://, user@host:path`);
  }
  if (parsed.password !== '') {
    // It would stand in the process list and in rows (I7).
    throw refuse('it must not hold a password; give a token with: loam app token');
  }
  if (!hasGoodHost(parsed)) throw refuse('its host is missing or looks like an option');
  // One protocol only: a server must not send https on to a weaker one.
  return { url, protocols: protocol === 'http' ? ['http', 'https'] : [protocol], folder: undefined };
}

/** ssh would take a host or user that begins with a hyphen as an option. */
function hasGoodHost({ hostname, username }: URL): boolean {
  return hostname !== '' && ![hostname, username].some((name) => /^(-|%2d)/i.test(name));
}

/** A full ref name that names one ref. Throws `input-invalid`. */
export function checkRef(ref: string): void {
  const isGood = (ref === 'HEAD' || ref.startsWith('refs/')) && ref.length <= 500;
  // eslint-disable-next-line no-control-regex -- git refuses these in names of refs
  if (isGood && !/[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{|\/\/|\/$|\.lock$/.test(ref)) return;
  throw new DomainError(
    'input-invalid',
    `"${ref.slice(0, 80)}" is not the full name of a ref, such as refs/heads/main`,
  );
}

/** A path inside a tree, as git writes it. Throws `input-invalid`. */
export function checkTreePath(treePath: string): void {
  const parts = treePath.split('/');
  const isGood = treePath.length <= 1_000 && parts.every((part) => part !== '' && part !== '.' && part !== '..');
  // eslint-disable-next-line no-control-regex -- a line break would be a second question to git
  if (isGood && !/[\u0000-\u001f]/.test(treePath)) return;
  throw new DomainError('input-invalid', `"${treePath.slice(0, 80)}" is not a path inside a repository`);
}
