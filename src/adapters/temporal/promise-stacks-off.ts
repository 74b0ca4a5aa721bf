// For `node --import`, before src/main/worker.ts; its threads get it too, which is why it cannot be a call in there. The SDK notes the stack of each promise
// that a workflow makes, for Temporal's page "Call Stack", and has no option against that (temporalio/sdk-typescript#1587). It takes as much CPU as all the rest
// of a workflow (docs/benchmarks.md); where a run stands is told by its current details. Without this file all works as well.
import v8 from 'node:v8';

/** The SDK hears that this Node has no such hooks: it says so once, and to whoever asks for a call stack. */
v8.promiseHooks.createHook = () => {
  throw new Error('Loam runs without promise hooks');
};
