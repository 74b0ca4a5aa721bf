import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import { expect } from 'vitest';
import { openEngine } from '../../../src/adapters/engine/engine.ts';
import { FrontControl } from '../../../src/adapters/front/front-control.ts';
import { installationOf } from '../../../src/adapters/target/docker/container-spec.ts';
import { createDockerTarget } from '../../../src/adapters/target/docker/docker-target.ts';
import type { DockerTarget } from '../../../src/adapters/target/docker/docker-target.ts';
import type { TestEngine } from '../../support/engine-host.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { findProcesses } from './process-target-subject.ts';
import type { TargetSubject } from './target.ts';
import type { Workshop } from './target-builders.ts';

export interface DockerTargetSubject extends TargetSubject {
  readonly target: DockerTarget;
  readonly engine: Docker;
  reopen(): DockerTarget;
}

/** The workshop's application as an image on the engine; the same one for the same application. */
export async function makeAppImage(engine: Docker, base: string, workshop: Workshop): Promise<string> {
  const server = readFileSync(path.join(workshop.folder, 'app.tree/server.mjs'));
  const dockerfile = `FROM ${base}\nCOPY server.mjs /app/\nWORKDIR /app\nUSER 1000:1000\nCMD ["node", "server.mjs"]\n`;
  const context = pack();
  context.entry({ name: 'Dockerfile' }, dockerfile);
  context.entry({ name: 'server.mjs', mode: 0o644 }, server);
  context.finalize();
  const tag = `loam-test/target:${createHash('sha256').update(dockerfile).update(server).digest('hex').slice(0, 12)}`;
  const events = await text(await engine.buildImage(Readable.from(context), { t: tag, version: '1' }));
  if (events.includes('errorDetail')) throw new Error(events);
  return (await engine.getImage(tag).inspect()).Id;
}

/** A target with a data folder, and so an installation, of its own. */
export async function openDockerTarget(workshop: Workshop, testEngine: TestEngine): Promise<DockerTargetSubject> {
  const engine = openEngine(testEngine.socketPath);
  const dataFolder = mkdtempSync(path.join(workshop.folder, 'data-'));
  const mainFolder = path.resolve(import.meta.dirname, '../../../src/main');
  const programs = { nodePath: process.execPath, mainFolder };
  function reopen(): DockerTarget {
    return createDockerTarget({ engine, dataFolder, logger: silentLogger, ...programs });
  }
  const target = reopen();
  return {
    target,
    engine,
    artifact: await makeAppImage(engine, testEngine.images.node, workshop),
    sickMs: 8_000,
    reopen,
    async close() {
      await new FrontControl(dataFolder, programs, 'docker').end();
      await removeAll(engine, installationOf(dataFolder));
      expect(findProcesses(dataFolder)).toEqual([]);
      rmSync(dataFolder, { recursive: true, force: true });
    },
  };
}

async function removeAll(engine: Docker, installation: string): Promise<void> {
  const label = [`loam.installation=${installation}`];
  for (const { Id } of await engine.listContainers({ all: true, filters: { label } }))
    await engine.getContainer(Id).remove({ force: true });
  const { Volumes } = await engine.listVolumes({ filters: { name: [`loam-${installation}-`] } });
  for (const { Name } of Volumes) await engine.getVolume(Name).remove();
}
