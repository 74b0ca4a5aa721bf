// Base images made without a registry, from this machine's own programs.
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, lchownSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Docker from 'dockerode';
import { systemPath } from './debian-packages.ts';

export interface EngineImages {
  /** A static busybox, users `root` and `job` (1000): 2 MB. */
  readonly busybox: string;
  /** The same, and the node that runs the tests. */
  readonly node: string;
}

const images: EngineImages = { busybox: 'loam-test/busybox:1', node: 'loam-test/node:1' };

export async function makeImages(socketPath: string, folder: string): Promise<EngineImages> {
  const engine = new Docker({ socketPath });
  const tree = path.join(folder, 'image');
  layBusybox(tree);
  await importTree(engine, tree, images.busybox);
  layNode(tree);
  await importTree(engine, tree, images.node);
  rmSync(tree, { recursive: true });
  return images;
}

function layBusybox(tree: string): void {
  for (const name of ['bin', 'etc', 'usr/bin', 'proc', 'dev', 'tmp', 'root', 'home/job', 'mnt', 'run', 'var/tmp'])
    mkdirSync(path.join(tree, name), { recursive: true });
  for (const name of ['tmp', 'var/tmp']) chmodSync(path.join(tree, name), 0o1777);
  const busybox = execFileSync('sh', ['-c', 'command -v busybox'], { env: { PATH: systemPath } });
  copyFileSync(busybox.toString().trim(), path.join(tree, 'bin/busybox'));
  for (const name of execFileSync('busybox', ['--list'], { env: { PATH: systemPath } })
    .toString()
    .trim()
    .split('\n'))
    if (name !== 'busybox') symlinkSync('busybox', path.join(tree, 'bin', name));
  symlinkSync('/bin/env', path.join(tree, 'usr/bin/env'));
  writeFileSync(
    path.join(tree, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\njob:x:1000:1000:job:/home/job:/bin/sh\n',
  );
  writeFileSync(path.join(tree, 'etc/group'), 'root:x:0:\njob:x:1000:\n');
  lchownSync(path.join(tree, 'home/job'), 1000, 1000);
}

/** With the libraries that it is linked to. */
function layNode(tree: string): void {
  copyFileSync(process.execPath, path.join(tree, 'usr/bin/node'));
  const linked = execFileSync('ldd', [process.execPath]).toString();
  for (const [, file] of linked.matchAll(/(\/\S+) \(0x/g)) {
    if (file === undefined) continue;
    mkdirSync(path.join(tree, path.dirname(file)), { recursive: true });
    copyFileSync(file, path.join(tree, file));
  }
}

async function importTree(engine: Docker, tree: string, name: string): Promise<void> {
  const [repo, tag] = name.split(':');
  const tar = spawn('tar', ['-C', tree, '--numeric-owner', '-cf', '-', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const stream = await engine.importImage(tar.stdout, { repo, tag, changes: 'ENV PATH=/usr/bin:/bin' });
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  engine.modem.followProgress(stream, (error) => (error === null ? resolve(undefined) : reject(error)));
  await promise;
}
