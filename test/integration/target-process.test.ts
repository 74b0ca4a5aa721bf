import { beforeAll } from 'vitest';
import { findBubblewrap, openProcessTarget } from './contracts/process-target-subject.ts';
import { testTarget } from './contracts/target.ts';
import { testTargetRules } from './contracts/target-rules.ts';

let bwrapPath: string;

beforeAll(async () => {
  bwrapPath = await findBubblewrap();
});

testTarget('process in bubblewrap', (workshop) => Promise.resolve(openProcessTarget(workshop, bwrapPath)));
testTarget('process without a sandbox', (workshop) => Promise.resolve(openProcessTarget(workshop, undefined)));
testTargetRules('process', (workshop) => Promise.resolve(openProcessTarget(workshop, bwrapPath)));
