// What runs: API, worker, relay, Temporal server, and who else sits on the ports.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Connection } from '@temporalio/client';
import { z } from 'zod';
import { isRunning } from '../../adapters/host/process-identity.ts';
import { isListening } from '../../adapters/temporal/port.ts';
import { findDevServer } from '../../adapters/temporal/server.ts';
import type { Config } from '../../config.ts';
import { readRecord, safeJson } from '../processes.ts';
import { Endpoint } from '../supervisor/endpoint.ts';
import { describe, missing, ok, warning } from './check.ts';
import type { Check } from './check.ts';

const Status = z.object({ version: z.string(), temporal: z.string(), openRuns: z.number(), openGates: z.number() });

const Spool = z.object({ waiting: z.number(), dead: z.number() });

const timeoutMs = 3_000;
const startIt = 'npm start';

/** What the records of the data folder say. */
interface Records {
  /** True while a supervisor lives: then all the rest has to live too. */
  readonly isUp: boolean;
  readonly endpoint: Endpoint | undefined;
}

export async function checkRunning(config: Config): Promise<readonly Check[]> {
  const { dataDir } = config;
  const [supervisor, endpoint] = await Promise.all([readRecord(dataDir, 'up'), readEndpoint(config)]);
  const records: Records = { isUp: supervisor !== undefined && isRunning(supervisor), endpoint };
  const checks = await Promise.all([
    checkApi(config, records),
    checkWorker(config, records),
    checkRelay(config, records),
    checkTemporalServer(config, records),
    checkPorts(config, records),
  ]);
  return checks.flat();
}

async function readEndpoint({ dataDir }: Config): Promise<Endpoint | undefined> {
  const text = await readFile(path.join(dataDir, 'endpoint.json'), 'utf8').catch(() => '');
  return Endpoint.safeParse(safeJson(text)).data;
}

/** Not running is no fault of a machine that nobody has asked to run it. */
function absent(name: string, { isUp }: Records, found: string, remedy: string): Check {
  return isUp ? missing(name, found, remedy) : warning(name, `not running (${found})`, startIt);
}

async function checkApi(config: Config, records: Records): Promise<Check> {
  const name = 'api';
  const url = config.client.url ?? records.endpoint?.apiUrl;
  if (url === undefined) return absent(name, records, 'the data folder knows no API', startIt);
  const token = config.client.readToken?.() ?? (await readToken(config));
  if (token === undefined) {
    return absent(name, records, 'there is no admin token', 'set LOAM_TOKEN, or start Loam again: it makes one');
  }
  const log = path.join(config.dataDir, 'processes/api.log');
  try {
    const response = await fetch(new URL('/v1/status', url), {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(timeoutMs),
    });
    const status = Status.safeParse(safeJson(await response.text())).data;
    if (response.ok && status !== undefined) return describeStatus(url, status, log);
    const found = `${url} answers ${response.status} instead of its status`;
    return missing(name, found, `read ${log}; is it Loam, and the token its own?`);
  } catch (error) {
    return absent(name, records, `${url} does not answer: ${describe(error)}`, `read ${log}`);
  }
}

function describeStatus(url: string, status: z.infer<typeof Status>, log: string): Check {
  const { version, openRuns, openGates } = status;
  const found = `${version} at ${url}, ${openRuns} open runs, ${openGates} open gates`;
  if (status.temporal === 'ok') return ok('api', found);
  return missing('api', `${found}; it does not reach Temporal`, `see "temporal server", and read ${log}`);
}

async function readToken({ dataDir }: Config): Promise<string | undefined> {
  const text = await readFile(path.join(dataDir, 'tokens/admin'), 'utf8').catch(() => '');
  return text.trim() === '' ? undefined : text.trim();
}

async function checkWorker({ dataDir }: Config, records: Records): Promise<Check> {
  const record = await readRecord(dataDir, 'worker');
  if (record !== undefined && isRunning(record)) return ok('worker', `process ${record.pid}`);
  const found = record === undefined ? 'no record of one' : `process ${record.pid} is gone`;
  return absent('worker', records, found, `read ${path.join(dataDir, 'processes/worker.log')}`);
}

async function checkRelay({ dataDir }: Config, records: Records): Promise<Check> {
  const name = 'relay';
  const url = records.endpoint?.relayUrl ?? '';
  if (url === '') return absent(name, records, 'the data folder knows no relay', startIt);
  const log = path.join(dataDir, 'processes/relay.log');
  try {
    const response = await fetch(new URL('/readyz', url), { signal: AbortSignal.timeout(timeoutMs) });
    const kept = Spool.safeParse(safeJson(await response.text())).data;
    if (kept === undefined) return missing(name, `${url} answers ${response.status} and no state`, `read ${log}`);
    const found = `${url}, ${kept.waiting} deliveries to forward, ${kept.dead} refused`;
    return kept.dead === 0 ? ok(name, found) : warning(name, found, 'loam relay list');
  } catch (error) {
    return absent(name, records, `${url} does not answer: ${describe(error)}`, `read ${log}`);
  }
}

async function checkTemporalServer(config: Config, records: Records): Promise<Check> {
  const name = 'temporal server';
  const given = config.temporal.address;
  const own = await findDevServer(config.dataDir);
  const address = given ?? own?.address ?? records.endpoint?.temporalAddress;
  if (address === undefined) return absent(name, records, 'none was started yet', startIt);
  const version = await readServerVersion(address);
  if (version !== undefined) {
    const whose = own === undefined ? '' : `, process ${own.pid}, UI ${own.uiUrl}`;
    return ok(name, `${version} at ${address}${whose}`);
  }
  if (given !== undefined) {
    return missing(
      name,
      `${given} does not answer`,
      'start that server, or remove LOAM_TEMPORAL_ADDRESS: then Loam starts one',
    );
  }
  const log = path.join(config.dataDir, 'processes/temporal.log');
  return absent(name, records, `${address} does not answer`, `read ${log}`);
}

async function readServerVersion(address: string): Promise<string | undefined> {
  let connection: Connection | undefined;
  try {
    connection = await Connection.connect({ address, connectTimeout: timeoutMs });
    const { serverVersion } = await connection.withDeadline(Date.now() + timeoutMs, async () => {
      return connection?.workflowService.getSystemInfo({}) ?? { serverVersion: undefined };
    });
    return serverVersion ?? undefined;
  } catch {
    return undefined;
  } finally {
    await connection?.close();
  }
}

/** A taken port is no fault: the start takes a free one and says so. But then addresses are not those of the documents. */
async function checkPorts(config: Config, { endpoint, isUp }: Records): Promise<Check> {
  const own = await findDevServer(config.dataDir);
  const ours = new Set([
    ...(isUp ? [portOf(endpoint?.apiUrl), portOf(endpoint?.relayUrl)] : []),
    portOf(own === undefined ? undefined : `http://${own.address}`),
    portOf(own?.uiUrl),
  ]);
  const startsServer = config.temporal.address === undefined;
  const wanted = [
    { port: config.api.port, variable: 'LOAM_API_PORT' },
    { port: config.relay.port, variable: 'LOAM_RELAY_PORT' },
    ...(startsServer ? [{ port: config.temporal.port, variable: 'LOAM_TEMPORAL_PORT' }] : []),
    ...(startsServer ? [{ port: config.temporal.uiPort, variable: 'LOAM_TEMPORAL_UI_PORT' }] : []),
  ].filter(({ port }) => port !== 0 && !ours.has(port));
  const listening = await Promise.all(wanted.map(({ port }) => isListening(port)));
  const taken = wanted.filter((_, index) => listening[index]);
  if (taken.length === 0) return ok('ports', 'none is taken by another program');
  const variables = taken.map(({ port, variable }) => `${variable} ${port}`).join(', ');
  return warning(
    'ports',
    `taken by another program: ${variables}`,
    'free ones are taken instead; or set the variables, 0 for any free port',
  );
}

function portOf(url: string | undefined): number {
  return url === undefined || url === '' ? 0 : Number(new URL(url).port);
}
