import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { layHostFiles } from '../../src/adapters/executor/process/host-files.ts';
import { findTools } from '../../src/adapters/executor/process/tools.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'loam-host-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function makeFolders(...names: readonly string[]): void {
  for (const name of names) mkdirSync(path.join(folder, name), { recursive: true });
}

function find(toolPath: readonly string[], hidden: readonly string[] = []) {
  const at = (name: string) => (name.startsWith('/') ? name : path.join(folder, name));
  const tools = findTools({ toolPath: toolPath.map(at).join(':'), home: at('home'), hidden: hidden.map(at) });
  return {
    folders: tools.folders.map((each) => path.relative(folder, each)),
    path: tools.path.replaceAll(`${folder}/`, ''),
  };
}

describe('findTools', () => {
  it('shows nothing beside the system for a PATH of the system', () => {
    expect(find(['/usr/local/bin', '/usr/bin', '/bin', '/no/such/folder', 'relative'])).toEqual({
      folders: [],
      path: '/usr/local/bin:/usr/bin:/bin',
    });
  });

  it('shows the whole of an installation outside the home folder', () => {
    makeFolders('opt/node/bin');

    expect(find(['opt/node/bin'])).toEqual({
      folders: ['opt/node'],
      path: 'opt/node/bin:/usr/local/bin:/usr/bin:/bin',
    });
  });

  it('shows of a home folder installations and programs, not what lies beside them', () => {
    makeFolders(
      'home/.nvm/v1/bin',
      'home/.nvm/v1/lib',
      'home/.pyenv/shims',
      'home/.cargo/bin',
      'home/.local/bin',
      'home/.local/lib',
      'home/bin',
    );

    const { folders } = find([
      'home/.nvm/v1/bin',
      'home/.pyenv/shims',
      'home/.cargo/bin',
      'home/.local/bin',
      'home/bin',
    ]);

    expect(folders.toSorted()).toEqual([
      'home/.cargo/bin',
      'home/.local/bin',
      'home/.nvm/v1',
      'home/.pyenv',
      'home/bin',
    ]);
  });

  it('never shows the home folder, what holds it, or what holds or lies in a hidden folder', () => {
    makeFolders('home', 'data/tools/bin', 'work/bin', 'work/.loam');

    expect(find(['home', 'data/tools/bin', 'work/bin'], ['data', 'work/.loam']).folders).toEqual(['work/bin']);
  });

  it('leaves out the programs of Loam’s own packages', () => {
    makeFolders('loam/node_modules/.bin');

    expect(find(['loam/node_modules/.bin']).folders).toEqual([]);
  });

  it('follows links to where a program really lies', () => {
    makeFolders('opt/links', 'opt/real/bin');
    writeFileSync(path.join(folder, 'opt/real/bin/tool'), '');
    symlinkSync('../real/bin/tool', path.join(folder, 'opt/links/tool'));
    symlinkSync('/nowhere', path.join(folder, 'opt/links/broken'));

    expect(find(['opt/links']).folders.toSorted()).toEqual(['opt/links', 'opt/real']);
  });
});

describe('layHostFiles', () => {
  it('brings in certificates from where a job cannot look, and lays the same files once', () => {
    const own = path.join(folder, 'company.pem');
    writeFileSync(own, 'a certificate');
    const certificates = {
      SSL_CERT_FILE: '/etc/ssl/certs/ca-certificates.crt',
      NODE_EXTRA_CA_CERTS: own,
      ABSENT: '/no/such/file',
    };
    const jobs = path.join(folder, 'jobs');
    mkdirSync(jobs);

    const first = layHostFiles(jobs, certificates);
    const second = layHostFiles(jobs, certificates);

    expect(second).toEqual(first);
    expect(readdirSync(jobs)).toHaveLength(1);
    const inside = first.certificateVariables['NODE_EXTRA_CA_CERTS'] ?? '';
    expect(readFileSync(path.join(first.etc, inside.replace('/etc/', '')), 'utf8')).toBe('a certificate');
    expect(first.certificateVariables['ABSENT']).toBeUndefined();
  });

  it('lays other files beside them when the host changed', () => {
    const own = path.join(folder, 'company.pem');
    writeFileSync(own, 'a certificate');
    const jobs = path.join(folder, 'jobs');
    mkdirSync(jobs);
    const first = layHostFiles(jobs, { SSL_CERT_FILE: own });
    writeFileSync(own, 'a longer certificate');

    const second = layHostFiles(jobs, { SSL_CERT_FILE: own });

    expect(second.etc).not.toBe(first.etc);
    expect(readFileSync(path.join(first.etc, 'loam/certificates-0.pem'), 'utf8')).toBe('a certificate');
  });
});
