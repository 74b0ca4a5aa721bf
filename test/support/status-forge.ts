// A forge that takes statuses of commits, with GitHub's answers, and keeps what it was told.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface ToldStatus {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly context: string;
  readonly state: string;
  readonly description: string;
  readonly url: string;
}

export type ForgeAnswer = (told: ToldStatus, response: ServerResponse) => void;

export interface StatusForge {
  readonly apiUrl: string;
  /** All that it was asked to take, also what it did not take. */
  readonly told: readonly ToldStatus[];
  /** How it answers from now on. */
  answer: ForgeAnswer;
  statesOf(context: string): readonly string[];
  close(): void;
}

export const created: ForgeAnswer = (one, response) => {
  response.writeHead(201, { 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify({ id: 1, state: one.state, context: one.context, description: one.description }));
};

export function refuse(status: number, message: string, headers: Readonly<Record<string, string>> = {}): ForgeAnswer {
  return (_one, response) => {
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers });
    response.end(JSON.stringify({ message, documentation_url: 'https://docs.github.com/rest' }));
  };
}

export async function startStatusForge(): Promise<StatusForge> {
  const told: ToldStatus[] = [];
  const server = createServer((request, response) => void take(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const forge: StatusForge = {
    apiUrl: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/api/v3`,
    told,
    answer: created,
    statesOf: (context) => told.filter((one) => one.context === context).map(({ state }) => state),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };

  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = JSON.parse(await text(request)) as Readonly<Record<string, string>>;
    const one = {
      path: `${request.method ?? ''} ${request.url ?? ''}`,
      authorization: request.headers.authorization,
      ...{ context: body['context'] ?? '', state: body['state'] ?? '' },
      ...{ description: body['description'] ?? '', url: body['target_url'] ?? '' },
    };
    told.push(one);
    forge.answer(one, response);
  }

  return forge;
}
