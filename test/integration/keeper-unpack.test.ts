import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UnpackError, unpackArtifact } from '../../src/adapters/target/process/keeper/unpack.ts';
import { findBubblewrap } from './contracts/process-target-subject.ts';
import { makeWorkshop } from './contracts/target-builders.ts';
import type { Workshop } from './contracts/target-builders.ts';

interface Member {
  readonly name: string;
  readonly type?: string;
  readonly link?: string;
  readonly content?: string;
  /** Said in the header, whatever the content is. */
  readonly size?: number;
  readonly mode?: number;
}

/** A tar written by hand, since no tar program writes what an attacker does. */
function writeTar(file: string, members: readonly Member[]): string {
  const blocks = members.flatMap(({ name, type = '0', link = '', content = '', size, mode = 0o644 }) => {
    const header = Buffer.alloc(512);
    header.write(name, 0, 100);
    header.write(`${mode.toString(8).padStart(7, '0')}\0`, 100);
    header.write('0000000\0', 108);
    header.write('0000000\0', 116);
    header.write(`${(size ?? content.length).toString(8).padStart(11, '0')}\0`, 124);
    header.write('00000000000\0', 136);
    header.write('        ', 148);
    header.write(type, 156);
    header.write(link, 157, 100);
    header.write('ustar\x0000', 257);
    header.write('0000001\0', 329);
    header.write('0000003\0', 337);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
    body.write(content);
    return [header, body];
  });
  writeFileSync(file, Buffer.concat([...blocks, Buffer.alloc(1024)]));
  return file;
}

describe.each(['bubblewrap', 'none'] as const)('unpacking a foreign archive, sandbox %s', (sandbox) => {
  let workshop: Workshop;
  let bwrapPath: string | undefined;
  let number = 0;

  beforeAll(async () => {
    workshop = makeWorkshop();
    bwrapPath = sandbox === 'bubblewrap' ? await findBubblewrap() : undefined;
  });
  afterAll(() => workshop.remove());

  function place(): { readonly folder: string; readonly tar: string; readonly outside: string } {
    number += 1;
    const root = path.join(workshop.folder, `case-${number}`);
    mkdirSync(root);
    return { folder: path.join(root, 'app'), tar: path.join(root, 'a.tar'), outside: path.join(root, 'outside') };
  }

  it('makes files, folders, links and modes', async () => {
    const { folder, tar } = place();
    writeTar(tar, [
      { name: 'bin/', type: '5', mode: 0o755 },
      { name: 'bin/run', content: '#!/bin/sh\n', mode: 0o4755 },
      { name: 'with blank and -> arrow', content: 'x' },
      { name: 'latest', type: '2', link: 'bin/run' },
      { name: 'python', type: '2', link: '/usr/bin/python3' },
      { name: 'same', type: '1', link: 'bin/run' },
    ]);

    await unpackArtifact({ artifact: tar, folder, bwrapPath });
    await unpackArtifact({ artifact: tar, folder, bwrapPath }); // again: does nothing

    expect(readFileSync(path.join(folder, 'latest'), 'utf8')).toBe('#!/bin/sh\n');
    expect(readFileSync(path.join(folder, 'same'), 'utf8')).toBe('#!/bin/sh\n');
    expect(readdirSync(folder).sort()).toEqual(['bin', 'latest', 'python', 'same', 'with blank and -> arrow']);
    expect(lstatSync(path.join(folder, 'bin/run')).mode & 0o7777).toBe(0o755); // no setuid
  });

  it('takes a compressed archive', async () => {
    const { folder, tar } = place();
    writeTar(tar, [{ name: 'a', content: 'x' }]);
    execFileSync('gzip', [tar]);

    await unpackArtifact({ artifact: `${tar}.gz`, folder, bwrapPath });

    expect(readdirSync(folder)).toEqual(['a']);
  });

  it.each<readonly [string, readonly Member[], string]>([
    ['a name with ..', [{ name: '../outside', content: 'x' }], 'leaves its folder'],
    ['a name with .. inside', [{ name: 'a/../../outside', content: 'x' }], 'leaves its folder'],
    ['an absolute name', [{ name: '/tmp/loam-outside', content: 'x' }], 'leaves its folder'],
    [
      'a link and a file through it',
      [
        { name: 'd', type: '2', link: '..' },
        { name: 'd/outside', content: 'x' },
      ],
      'tar ended with',
    ],
    [
      'an absolute link and a file through it',
      [
        { name: 'd', type: '2', link: '/tmp' },
        { name: 'd/loam-outside', content: 'x' },
      ],
      'tar ended with',
    ],
    ['a hard link to the outside', [{ name: 'p', type: '1', link: '../../../../../../etc/passwd' }], 'tar ended with'],
    ['a character device', [{ name: 'dev', type: '3' }], 'neither a file'],
    ['a block device', [{ name: 'dev', type: '4' }], 'neither a file'],
    ['a pipe', [{ name: 'pipe', type: '6' }], 'neither a file'],
    ['more bytes than allowed', [{ name: 'big', size: 8 * 2 ** 20 + 1, content: 'x' }], 'more than 8388608 bytes'],
    [
      'more members than allowed',
      Array.from({ length: 101 }, (_, index) => ({ name: `f${index}` })),
      'more than 100 members',
    ],
    ['a cut end', [{ name: 'big', size: 1_000_000, content: 'x' }], 'not a tar archive'],
  ])('refuses %s and writes nothing outside', async (_case, members, reason) => {
    const { folder, tar, outside } = place();
    writeTar(tar, members);
    const limits = { bytes: 8 * 2 ** 20, entries: 100 };

    const error: unknown = await unpackArtifact({ artifact: tar, folder, bwrapPath, limits }).catch(
      (thrown: unknown) => thrown,
    );

    expect(error).toBeInstanceOf(UnpackError);
    expect(String(error)).toContain(reason);
    for (const file of [folder, outside, '/tmp/loam-outside']) expect(existsSync(file)).toBe(false);
  });

  it('refuses a compressed bomb before it has written anything', async () => {
    const { folder, tar } = place();
    execFileSync('sh', [
      '-c',
      `truncate -s 64M "$1.big" && tar -C "$(dirname "$1")" -czf "$1" "$(basename "$1").big" && rm "$1.big"`,
      'sh',
      tar,
    ]);

    const unpacking = unpackArtifact({ artifact: tar, folder, bwrapPath, limits: { bytes: 2 ** 25, entries: 100 } });

    await expect(unpacking).rejects.toThrow('more than 33554432 bytes');
    expect(existsSync(folder)).toBe(false);
  });

  it('begins anew where a crash cut it', async () => {
    const { folder, tar } = place();
    mkdirSync(`${folder}.new`);
    writeFileSync(path.join(`${folder}.new`, 'half'), 'x');
    writeTar(tar, [{ name: 'a', content: 'x' }]);

    await unpackArtifact({ artifact: tar, folder, bwrapPath });

    expect(readdirSync(folder)).toEqual(['a']);
  });
});
