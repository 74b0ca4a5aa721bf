// Keeps I5: the same tree gives the same bytes, so an artifact is known by its digest alone.
import { DomainError } from '../src/core/errors.ts';
import type { BuildImageTask } from '../src/core/graph/graph.ts';
import type { TaskOutcome } from '../src/core/model/status.ts';
import { attemptKey, succeeded } from './attempt.ts';
import type { AttemptEnd } from './attempt.ts';
import { buildFromDockerfile } from './build-dockerfile.ts';
import type { Room } from './dependencies.ts';
import { runJob } from './job.ts';
import type { TaskInput } from './types.ts';

const artifactName = 'artifact.tar';

/** Names, owners, times and modes as on every other machine; 2001-09-09, since some programs do not take the year 1970. */
const pack = [
  'LC_ALL=C exec tar --sort=name --mtime=@1000000000 --owner=0 --group=0 --numeric-owner --mode=a+rX,u+w,go-w',
  '--format=posix --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
  `--exclude=./.git -cf "$LOAM_OUT/${artifactName}" .`,
].join(' ');

export function buildImage(room: Room, input: TaskInput<BuildImageTask>): Promise<TaskOutcome> {
  const { image } = input.task;
  if (image !== undefined) return buildFromDockerfile(room, { input, image, onBuilt: endImage });
  return runJob(room, input, {
    cmd: buildScript(input.task.cmd),
    onSuccess: (_, signal) => store(room, input, signal),
  });
}

function endImage({ digest, reference }: { digest: string; reference: string | undefined }): Promise<AttemptEnd> {
  const outputs = { '': digest, digest, ...(reference !== undefined && { reference }) };
  return Promise.resolve({ ...succeeded(outputs), outcome: { status: 'succeeded', exitCode: 0 } });
}

/** The plan's command runs in a shell of its own: an `exit 0` or an open quote in it must not skip the archive. */
function buildScript(cmd: string | undefined): string {
  if (cmd === undefined) return pack;
  return `sh -c '${cmd.replaceAll("'", `'\\''`)}' || exit $?\n${pack}`;
}

async function store(room: Room, input: TaskInput<BuildImageTask>, signal: AbortSignal): Promise<AttemptEnd> {
  const key = attemptKey(input);
  const path = await room.executor.collect(key, artifactName);
  if (path === undefined) throw new DomainError('artifact-invalid', 'the build left no archive');
  const { digest, sizeBytes } = await room.blobs.put(room.openFile(path), {
    maxBytes: room.limits.artifactBytes,
    signal,
  });
  await room.logs.note(key, `loam: artifact ${digest} (${sizeBytes} bytes)`);
  const end = succeeded({ '': digest, digest });
  return { ...end, outcome: { status: 'succeeded', exitCode: 0 } };
}
