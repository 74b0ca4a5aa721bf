// Keeps I7: BuildKit asks for logins over the session of a build, for whatever host a Dockerfile names, and only one of them may hear ours.
import { randomUUID } from 'node:crypto';
import { Duplex } from 'node:stream';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { sendUnaryData, ServerUnaryCall, ServiceDefinition } from '@grpc/grpc-js';
import type Docker from 'dockerode';
import protobuf from 'protobufjs';
import { z } from 'zod';

export interface RegistryLogin {
  readonly username: string;
  readonly password: string;
  /** `host[:port]`, as images name it. */
  readonly serveraddress: string;
}

export interface BuildSession {
  readonly id: string;
  /** The engine takes it for the end of the build. */
  close(): void;
}

/** The part of BuildKit's service `moby.filesync.v1.Auth` that hands out logins; to all else it hears that there is no such call. */
const types = protobuf.Root.fromJSON({
  nested: {
    Asked: { fields: { host: { type: 'string', id: 1 } } },
    Answer: { fields: { username: { type: 'string', id: 1 }, secret: { type: 'string', id: 2 } } },
  },
});
const [askedType, answerType] = [types.lookupType('Asked'), types.lookupType('Answer')];
const Asked = z.object({ host: z.string().default('') });
type Asked = z.infer<typeof Asked>;
interface Answer {
  readonly username?: string;
  readonly secret?: string;
}

const service = {
  credentials: {
    path: '/moby.filesync.v1.Auth/Credentials',
    requestStream: false,
    responseStream: false,
    requestSerialize: (asked: Asked) => encode(askedType, asked),
    requestDeserialize: (bytes: Buffer) => Asked.parse(askedType.toObject(askedType.decode(bytes))),
    responseSerialize: (answer: Answer) => encode(answerType, answer),
    responseDeserialize: (bytes: Buffer): Answer => answerType.toObject(answerType.decode(bytes)),
  },
} satisfies ServiceDefinition;

/**
 * Without a session BuildKit pulls as nobody; `X-Registry-Config` is the old builder's. dockerode (5.0.1) can open one too, but would give the login to every
 * host that asks.
 */
export async function openBuildSession(engine: Docker, login: RegistryLogin | undefined): Promise<BuildSession> {
  const id = randomUUID();
  const connection = await connect(engine, id);
  const server = new Server();
  server.addService(service, {
    credentials({ request }: ServerUnaryCall<Asked, Answer>, answer: sendUnaryData<Answer>) {
      const isOurs = login !== undefined && request.host === apiHostOf(login.serveraddress);
      answer(null, isOurs ? { username: login.username, secret: login.password } : {});
    },
  });
  server.createConnectionInjector(ServerCredentials.createInsecure()).injectConnection(connection);
  return {
    id,
    close() {
      server.forceShutdown();
      connection.destroy();
    },
  };
}

/** A connection on which the engine is the client. */
function connect(engine: Docker, id: string): Promise<Duplex> {
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
  const headers = { Upgrade: 'h2c', 'X-Docker-Expose-Session-Uuid': id, 'X-Docker-Expose-Session-Name': 'loam' };
  const statusCodes = { 200: true, 500: 'server error' };
  engine.modem.dial({ method: 'POST', path: '/session', hijack: true, headers, statusCodes }, (error, connection) => {
    if (connection instanceof Duplex) resolve(connection);
    else reject(error ?? new Error('the engine opened no session for the build'));
  });
  return promise;
}

/** Docker Hub is another host than its images say. */
function apiHostOf(serveraddress: string): string {
  return /^(index\.)?docker\.io$/.test(serveraddress) ? 'registry-1.docker.io' : serveraddress;
}

function encode(type: protobuf.Type, value: object): Buffer {
  return Buffer.from(type.encode(type.fromObject(value)).finish());
}
