// Rows into what the API shows. Only named fields pass, so a new column never leaks by itself (I7).
import type { Decision, Gate, Reconnect } from '../core/gate/gate.ts';
import { formatGrant } from '../core/model/access.ts';
import type { RunId } from '../core/model/ids.ts';
import { runWorkflowId } from '../core/model/ids.ts';
import type { Application, Environment, Release, RunRow } from '../ports/store.ts';
import type { AttemptRow, TaskRow } from '../ports/task-store.ts';
import type { SecretStore, Token, Trust } from '../ports/credential-store.ts';
import type {
  ApplicationView,
  AttemptView,
  DecisionView,
  EnvironmentView,
  GateView,
  ReleaseView,
  RunView,
  SecretView,
  TaskView,
  TokenView,
  TrustView,
} from './schema.ts';

/** Where people and forges find things; the port is known only once the server listens. */
export interface Links {
  readonly publicUrl: () => string;
  /** Where forges send deliveries; undefined: to the API. */
  readonly relayUrl: string | undefined;
  readonly temporalUiUrl: string | undefined;
  readonly namespace: string;
}

export function instant(ms: number): string {
  return new Date(ms).toISOString();
}

export function instantOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : instant(ms);
}

export function runUrl(links: Links, application: string, number: number, round = 1): string {
  const query = round === 1 ? '' : `?round=${round}`;
  return `${links.publicUrl()}/v1/runs/${application}/${number}${query}`;
}

export function temporalUrl(links: Links, run: RunId): string | null {
  if (links.temporalUiUrl === undefined) return null;
  return `${links.temporalUiUrl}/namespaces/${links.namespace}/workflows/${encodeURIComponent(runWorkflowId(run))}`;
}

export function viewApplication(links: Links, application: Application): ApplicationView {
  return {
    name: application.name,
    repositoryUrl: application.repositoryUrl,
    local: application.local,
    branches: [...application.branches],
    triggerUrl: `${links.relayUrl ?? links.publicUrl()}/v1/triggers/${application.trigger}`,
    hasToken: application.hasToken,
    hasDeployKey: application.hasDeployKey,
    createdAt: instant(application.createdAtMs),
  };
}

export function viewEnvironment(environment: Environment): EnvironmentView {
  return {
    application: environment.application,
    name: environment.name,
    target: environment.target,
    protected: environment.protected,
    branches: [...environment.branches],
    trust: environment.trust ?? null,
    replicas: environment.replicas,
    memoryMb: environment.memoryMb ?? null,
    cpus: environment.cpus ?? null,
    config: { ...environment.config },
    lockPolicy: environment.lockPolicy,
    frontPort: environment.frontPort,
    url: ['process', 'docker'].includes(environment.target) ? `http://127.0.0.1:${environment.frontPort}` : null,
    liveRelease: environment.liveRelease ?? null,
  };
}

export function viewTrust(trust: Trust): TrustView {
  return {
    name: trust.name,
    provider: trust.provider,
    settings: { ...trust.settings },
    state: trust.state,
    reason: trust.reason ?? null,
    generation: trust.generation,
    expiresAt: instantOrNull(trust.expiresAtMs),
  };
}

export function viewSecret(secret: Awaited<ReturnType<SecretStore['names']>>[number]): SecretView {
  return { name: secret.name, environment: secret.environment ?? null, changedAt: instant(secret.changedAtMs) };
}

export function viewToken(token: Token): TokenView {
  return {
    name: token.name,
    roles: token.grants.map(formatGrant),
    createdAt: instant(token.createdAtMs),
    expiresAt: instantOrNull(token.expiresAtMs),
  };
}

export function viewRun(links: Links, row: RunRow): RunView {
  return {
    id: row.id,
    application: row.application,
    number: row.number,
    round: row.round,
    status: row.status,
    code: row.code ?? null,
    reason: row.reason ?? null,
    commit: row.commit,
    ref: row.ref,
    message: row.message,
    author: row.author,
    createdAt: instant(row.createdAtMs),
    startedAt: instantOrNull(row.startedAtMs),
    finishedAt: instantOrNull(row.finishedAtMs),
    cancelRequestedBy: row.cancelRequestedBy ?? null,
    url: runUrl(links, row.application, row.number, row.round),
    temporalUrl: temporalUrl(links, row.id),
  };
}

export function viewTask(row: TaskRow): TaskView {
  return {
    name: row.name,
    type: row.type,
    status: row.status,
    attempt: row.attempt,
    kept: row.kept,
    code: row.code ?? null,
    reason: row.reason ?? null,
    startedAt: instantOrNull(row.startedAtMs),
    finishedAt: instantOrNull(row.finishedAtMs),
  };
}

export function viewAttempt(row: AttemptRow): AttemptView {
  return {
    attempt: row.attempt,
    status: row.status,
    host: row.host,
    exitCode: row.exitCode ?? null,
    code: row.code ?? null,
    reason: row.reason ?? null,
    outputs: { ...row.outputs },
    startedAt: instant(row.startedAtMs),
    finishedAt: instantOrNull(row.finishedAtMs),
  };
}

export function viewDecision(decision: Decision): DecisionView {
  return {
    id: decision.id,
    run: decision.run,
    gate: decision.gate,
    opening: decision.opening,
    verdict: decision.verdict,
    by: decision.by,
    comment: decision.comment,
    at: instant(decision.atMs),
  };
}

export function viewGate(gate: Gate, decisions: readonly Decision[]): GateView {
  const { preview } = gate;
  const decision = decisions.find((one) => one.gate === gate.gate && one.opening === gate.opening);
  return {
    run: gate.run,
    gate: gate.gate,
    opening: gate.opening,
    environment: gate.environment,
    status: gate.status,
    openedAt: instant(gate.openedAtMs),
    deadlineAt: instant(gate.deadlineAtMs),
    subjects: gate.subjects.map((one) => ({ task: one.task, template: one.template, image: one.image ?? null })),
    preview: {
      application: preview.application,
      fromRelease: preview.fromRelease ?? null,
      fromCommit: preview.fromCommit ?? null,
      toCommit: preview.toCommit,
      commits: preview.commits.map((one) => ({ ...one })),
      moreCommits: preview.moreCommits,
      configAdded: [...preview.configAdded],
      configRemoved: [...preview.configRemoved],
      configChanged: [...preview.configChanged],
      digest: preview.digest ?? null,
    },
    reconnect: viewReconnect(preview.reconnect),
    decision: decision === undefined ? null : viewDecision(decision),
  };
}

function viewReconnect(reconnect: Reconnect | undefined): GateView['reconnect'] {
  if (reconnect === undefined) return null;
  const { trust, task, reason } = reconnect;
  return { trust, task, reason };
}

export function viewRelease(release: Release): ReleaseView {
  return {
    application: release.application,
    environment: release.environment,
    number: release.number,
    run: release.run,
    task: release.task,
    attempt: release.attempt,
    commit: release.commit,
    image: release.image ?? null,
    template: release.template,
    status: release.status,
    reason: release.reason ?? null,
    createdAt: instant(release.createdAtMs),
    liveAt: instantOrNull(release.liveAtMs),
  };
}
