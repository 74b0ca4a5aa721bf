import { Socket } from 'node:net';

/** Says to a child of the supervisor that file descriptor 3 is a pipe which closes when the supervisor ends, however it ends. */
export const supervisedFlag = '--supervised';

export function isSupervised(): boolean {
  return process.argv.includes(supervisedFlag);
}

/**
 * Resolves with the reason once this process shall end: SIGTERM, SIGINT, or the supervisor is gone. A worker that outlived its supervisor would hold slots that the next
 * start hands out again.
 */
export function untilAskedToEnd(): Promise<string> {
  return new Promise((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => resolve(name));
    if (!isSupervised()) return;
    const pipe = new Socket({ fd: 3, readable: true, writable: false });
    const gone = (): void => resolve('the supervisor ended');
    pipe.on('close', gone).on('end', gone).on('error', gone);
    pipe.resume();
    pipe.unref(); // it must not keep a process alive that has drained
  });
}
