// Every durable message of the workflows, and what it may do at most: written by hand, a second time. A message that is not here, or is of another kind, fails the
// matrix. Who reaches Temporal itself has no role there: so a message must not be able to do what a role is asked for, whoever sends it.
export interface MessageRule {
  readonly kind: 'update' | 'signal' | 'query';
  readonly workflow: 'run' | 'environment';
  /** The route, by its key in access-rules.ts, whose role stands behind the message; undefined: only workflows of Loam send it. */
  readonly route: string | undefined;
  /** Why a forged one does no harm. */
  readonly keeps:
    /** It carries the id of a row, and only the row is believed (I4). */
    | 'row'
    /** It lets a deploy go on, which the row of its fence refuses (I3). */
    | 'fence'
    /** It ends or delays a deploy, and cannot begin one. */
    | 'less'
    /** It answers, and changes nothing. */
    | 'nothing';
}

export const messageRules: Readonly<Record<string, MessageRule>> = {
  decide: {
    kind: 'update',
    workflow: 'run',
    route: 'post /v1/runs/{application}/{number}/gates/{gate}/decisions',
    keeps: 'row',
  },
  lockGranted: { kind: 'signal', workflow: 'run', route: undefined, keeps: 'fence' },
  lockSuperseded: { kind: 'signal', workflow: 'run', route: undefined, keeps: 'less' },
  runView: { kind: 'query', workflow: 'run', route: 'get /v1/runs/{application}/{number}', keeps: 'nothing' },
  acquire: { kind: 'update', workflow: 'environment', route: undefined, keeps: 'fence' },
  release: { kind: 'update', workflow: 'environment', route: undefined, keeps: 'fence' },
  lockState: { kind: 'query', workflow: 'environment', route: 'get /v1/queue', keeps: 'nothing' },
};
