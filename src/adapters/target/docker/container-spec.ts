// How a replica is described to the engine. Keeps I3 (the fence is part of name and labels) and I7 (secrets are variables of the container, never labels).
import { createHash } from 'node:crypto';
import path from 'node:path';
import type Docker from 'dockerode';
import { z } from 'zod';
import { isApplicationName, isEnvironmentName } from '../../../core/model/ids.ts';
import type { ApplicationName, EnvironmentName } from '../../../core/model/ids.ts';
import type { ReleaseReference, ReleaseSpec } from '../../../ports/target.ts';

/** What a container listens on that says nothing of it. */
const usualPort = 8080;
/** A volume: what an application keeps from release to release. */
export const keptFolder = '/data';
export const tokenFile = '/run/loam/trust-token';
const maxProcesses = 2048;

const count = z.string().regex(/^\d+$/).transform(Number);

/** The labels of a replica; each value is a text. */
const Labels = z.object({
  'loam.application': z.string().refine(isApplicationName),
  'loam.environment': z.string().refine(isEnvironmentName),
  'loam.release': count,
  'loam.fence': count,
  'loam.replica': count,
  'loam.replicas': count,
  'loam.health': z.string(),
  'loam.front-port': count,
  /** Names of the variables whose values are secrets: they are masked in what the application wrote. */
  'loam.secrets': z.string().transform((text) => text.split(',').filter((name) => name !== '')),
});

/** What the labels of a container say. */
export interface ReplicaFacts {
  readonly reference: ReleaseReference;
  readonly replica: number;
  readonly replicas: number;
  readonly health: string;
  readonly frontPort: number;
  readonly secretNames: readonly string[];
}

/** Installations that share one engine do not see each other's containers. */
export function installationOf(dataFolder: string): string {
  return createHash('sha256').update(path.resolve(dataFolder)).digest('hex').slice(0, 12);
}

export function installationFilter(installation: string): readonly string[] {
  return ['loam.kind=replica', `loam.installation=${installation}`];
}

export function environmentFilter(
  installation: string,
  { application, environment }: { readonly application: ApplicationName; readonly environment: EnvironmentName },
): readonly string[] {
  return [...installationFilter(installation), `loam.application=${application}`, `loam.environment=${environment}`];
}

export function readFacts(labels: Readonly<Record<string, string>>): ReplicaFacts | undefined {
  const { data } = Labels.safeParse(labels);
  if (data === undefined) return undefined;
  return {
    reference: {
      application: data['loam.application'],
      environment: data['loam.environment'],
      release: data['loam.release'],
      fence: data['loam.fence'],
    },
    replica: data['loam.replica'],
    replicas: data['loam.replicas'],
    health: data['loam.health'],
    frontPort: data['loam.front-port'],
    secretNames: data['loam.secrets'],
  };
}

export function containerName(installation: string, reference: ReleaseReference, replica: number): string {
  const { application, environment, release, fence } = reference;
  return `loam-${installation}-${application}-${environment}-${release}-${fence}-${replica}`;
}

function labelsOf(installation: string, spec: ReleaseSpec, replica: number): Record<string, string> {
  const { application, environment, release, fence } = spec.reference;
  return {
    'loam.managed': '1',
    'loam.kind': 'replica',
    'loam.installation': installation,
    'loam.application': application,
    'loam.environment': environment,
    'loam.release': String(release),
    'loam.fence': String(fence),
    'loam.replica': String(replica),
    'loam.replicas': String(spec.replicas),
    'loam.health': spec.health,
    'loam.front-port': String(spec.frontPort),
    'loam.secrets': Object.keys(spec.secrets).join(','),
  };
}

function environmentOf(name: string, spec: ReleaseSpec, port: number): readonly string[] {
  const secrets = Object.entries(spec.secrets).map(([key, secret]) => [key, secret.reveal()] as const);
  const variables: Readonly<Record<string, string>> = {
    HOME: keptFolder,
    ...spec.env,
    ...Object.fromEntries(secrets),
    PORT: String(port),
    LOAM_RELEASE: String(spec.reference.release),
    LOAM_ENVIRONMENT: spec.reference.environment,
    LOAM_REPLICA_ID: name,
    ...(spec.trustToken !== undefined && { LOAM_TRUST_TOKEN_FILE: tokenFile }),
  };
  return Object.entries(variables).map(([key, value]) => `${key}=${value}`);
}

function limitsOf({ memoryMb, cpus }: ReleaseSpec): Docker.HostConfig {
  const bytes = memoryMb === undefined ? undefined : memoryMb * 1024 ** 2;
  return {
    ...(bytes !== undefined && { Memory: bytes, MemorySwap: bytes }), // the same: no swap
    ...(cpus !== undefined && { NanoCpus: Math.round(cpus * 1e9) }),
  };
}

/** `hostPort` stays the replica's own: the front finds it there also after the engine was started again. */
export function describeContainer(
  installation: string,
  spec: ReleaseSpec,
  { replica, hostPort }: { readonly replica: number; readonly hostPort: number },
): Docker.ContainerCreateOptions {
  const { application, environment } = spec.reference;
  const name = containerName(installation, spec.reference, replica);
  const port = spec.port ?? usualPort;
  const published = `${port}/tcp`;
  return {
    name,
    Image: spec.artifact,
    ...(spec.start !== undefined && { Entrypoint: ['/bin/sh', '-c'], Cmd: [spec.start] }),
    Env: [...environmentOf(name, spec, port)],
    Labels: labelsOf(installation, spec, replica),
    ExposedPorts: { [published]: {} },
    HostConfig: {
      PortBindings: { [published]: [{ HostIp: '127.0.0.1', HostPort: String(hostPort) }] },
      // Also after a reboot; not when `loam down --apps` has stopped it.
      RestartPolicy: { Name: 'unless-stopped' },
      Binds: [`loam-${installation}-${application}-${environment}:${keptFolder}`],
      Init: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      PidsLimit: maxProcesses,
      ...limitsOf(spec),
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '2' } },
    },
  };
}
