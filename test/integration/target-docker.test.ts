import { beforeAll } from 'vitest';
import type { TestEngine } from '../support/engine-host.ts';
import { useEngine } from '../support/engine.ts';
import { openDockerTarget } from './contracts/docker-target-subject.ts';
import { testTarget } from './contracts/target.ts';
import { testTargetRules } from './contracts/target-rules.ts';

let engine: TestEngine;

beforeAll(async () => {
  engine = await useEngine();
}, 400_000);

testTarget('docker', (workshop) => openDockerTarget(workshop, engine));
testTargetRules('docker', (workshop) => openDockerTarget(workshop, engine));
