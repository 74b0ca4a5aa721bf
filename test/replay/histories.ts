import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import type { Client } from '@temporalio/client';
import proto from '@temporalio/proto';
import type { temporal } from '@temporalio/proto';

type History = temporal.api.history.v1.IHistory;

// Not `historyToJSON` of the SDK: it asks for one shared copy of protobufjs, and npm lays out three.
const { History: HistoryType } = proto.temporal.api.history.v1;

export const historiesFolder = path.join(import.meta.dirname, 'histories');

export interface RecordedHistory {
  /** `<workflow>/<version>-<case>`. */
  readonly name: string;
  readonly workflowId: string;
  readonly history: History;
}

/** Keeps the history of a workflow, by its type, as `<workflow>/<version>-<case>.json`. Answers the file. */
export async function saveHistory(client: Client, workflowId: string, version: string, name: string): Promise<string> {
  const history = await client.workflow.getHandle(workflowId).fetchHistory();
  const type = history.events?.[0]?.workflowExecutionStartedEventAttributes?.workflowType?.name ?? 'unknown';
  const folder = path.join(historiesFolder, type);
  await mkdir(folder, { recursive: true });
  const file = path.join(folder, `${version}-${name}.json`);
  const plain = HistoryType.toObject(HistoryType.fromObject(history), { longs: String, enums: String, bytes: String });
  await writeFile(file, `${withoutMachine(JSON.stringify(plain, null, 1))}\n`);
  return file;
}

/** Names of hosts and folders (in identities and stack traces) say nothing to a replay. */
function withoutMachine(text: string): string {
  return text.replaceAll(`@${hostname()}`, '@host').replaceAll(`${path.resolve(import.meta.dirname, '../..')}/`, '');
}

export async function readHistories(): Promise<readonly RecordedHistory[]> {
  const files = (await readdir(historiesFolder, { recursive: true })).filter((file) => file.endsWith('.json')).sort();
  return Promise.all(files.map(readHistory));
}

async function readHistory(file: string): Promise<RecordedHistory> {
  const text = await readFile(path.join(historiesFolder, file), 'utf8');
  const history = HistoryType.fromObject(JSON.parse(text) as Record<string, unknown>);
  const workflowId = history.events[0]?.workflowExecutionStartedEventAttributes?.workflowId ?? '';
  return { name: file.slice(0, -'.json'.length), workflowId, history };
}
